//! `query`: the events that pass the filters.

use std::io::Write as _;

use tower_audit::Timestamp;

use super::open_store::{OnMissing, reader, with_store};
use super::pages::for_each_page;
use crate::args::QueryArgs;
use crate::error::CliError;
use crate::output::{OutputTarget, Stdout};
use crate::progress::Progress;

pub(crate) async fn run(url: &str, args: QueryArgs) -> Result<(), CliError> {
    let filter = args.filter.filter(Timestamp::now())?;
    let target = OutputTarget::stdout();
    let mut listing = target.indented_listing(args.format, args.indent)?;
    with_store(url, OnMissing::Fail, async |store| {
        let reader = reader(store)?;
        let mut out = Stdout::new();
        // Where events run over the terminal, they are the progress.
        let mut progress = Progress::new("events", !target.is_terminal());
        let mut count = 0;
        for_each_page(reader, filter, args.skip, args.limit, |page| {
            listing.write_page(page, &mut out)?;
            out.flush()?;
            count += page.len() as u64;
            progress.at(count);
            Ok(())
        })
        .await?;
        listing.finish(&mut out)?;
        out.flush()?;
        Ok(())
    })
    .await
}
