//! `checkpoint`: prints the newest checkpoint.

use super::open_store::{OnMissing, sealing, with_store};
use crate::error::CliError;
use crate::output::print_lines;

pub(crate) async fn run(url: &str) -> Result<(), CliError> {
    with_store(url, OnMissing::Fail, async |store| {
        let Some(newest) = sealing(store)?.newest_checkpoint().await? else { return Err(CliError::NotSealed) };
        print_lines(&newest.note)
    })
    .await
}
