//! `count`: how many events pass the filters.

use std::io::Write as _;

use tower_audit::Timestamp;

use super::open_store::{OnMissing, reader, with_store};
use crate::args::FilterArgs;
use crate::error::CliError;
use crate::output::Stdout;
use crate::progress::with_progress;

pub(crate) async fn run(url: &str, args: FilterArgs) -> Result<(), CliError> {
    let filter = args.filter(Timestamp::now(), false)?;
    with_store(url, OnMissing::Fail, async |store| {
        let count = with_progress("counting", reader(store)?.count(&filter)).await?;
        let mut out = Stdout::new();
        writeln!(out, "{count}")?;
        Ok(out.flush()?)
    })
    .await
}
