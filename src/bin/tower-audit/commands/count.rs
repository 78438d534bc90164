//! `count`: how many events pass the filters.

use std::io::Write as _;

use tower_audit::Timestamp;

use super::{IfMissing, reader, with_store};
use crate::args::FilterArgs;
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::patiently;

pub(crate) async fn run(url: &str, args: FilterArgs) -> Result<(), Failure> {
    let filter = args.filter(Timestamp::now())?;
    with_store(url, IfMissing::Fail, async |store| {
        let count = patiently("counting", reader(store)?.count(&filter)).await?;
        let mut out = Output::new();
        writeln!(out, "{count}")?;
        Ok(out.flush()?)
    })
    .await
}
