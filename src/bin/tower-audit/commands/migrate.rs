//! `migrate`: makes what is missing of the store.

use super::open_store::{OnMissing, admin, with_store};
use super::roles;
use crate::args::MigrateArgs;
use crate::error::CliError;
use crate::progress::with_progress;

pub(crate) async fn run(url: &str, args: MigrateArgs) -> Result<(), CliError> {
    roles::check(url, args.roles)?;
    with_store(url, OnMissing::Create, async |store| {
        Ok(with_progress("making what is missing", admin(store, "migrated")?.migrate()).await?)
    })
    .await?;
    if args.roles { roles::make(url).await } else { Ok(()) }
}
