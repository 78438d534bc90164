//! `ensure-indexes`: what is missing of the store.

use super::{IfMissing, keeper, with_store};
use crate::exit::Failure;
use crate::progress::patiently;

pub(crate) async fn run(url: &str) -> Result<(), Failure> {
    with_store(url, IfMissing::Create, async |store| {
        Ok(patiently("making indexes", keeper(store, "provisioned")?.ensure_indexes()).await?)
    })
    .await
}
