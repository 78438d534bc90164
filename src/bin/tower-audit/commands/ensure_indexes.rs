//! `ensure-indexes`: what is missing of the store.

use super::{IfMissing, keeper, roles, with_store};
use crate::args::EnsureIndexesArgs;
use crate::exit::Failure;
use crate::progress::patiently;

pub(crate) async fn run(url: &str, args: EnsureIndexesArgs) -> Result<(), Failure> {
    roles::check(url, args.roles)?;
    with_store(url, IfMissing::Create, async |store| {
        Ok(patiently("making indexes", keeper(store, "provisioned")?.ensure_indexes()).await?)
    })
    .await?;
    if args.roles { roles::make(url).await } else { Ok(()) }
}
