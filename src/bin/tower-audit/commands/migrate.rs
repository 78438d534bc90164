//! `migrate`: makes what is missing of the store.

use super::{IfMissing, keeper, roles, with_store};
use crate::args::MigrateArgs;
use crate::exit::Failure;
use crate::progress::patiently;

pub(crate) async fn run(url: &str, args: MigrateArgs) -> Result<(), Failure> {
    roles::check(url, args.roles)?;
    with_store(url, IfMissing::Create, async |store| {
        Ok(patiently("making what is missing", keeper(store, "provisioned")?.ensure_indexes()).await?)
    })
    .await?;
    if args.roles { roles::make(url).await } else { Ok(()) }
}
