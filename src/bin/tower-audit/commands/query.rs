//! `query`: the events that pass the filters.

use std::io::Write as _;

use tower_audit::Timestamp;

use super::{IfMissing, for_each_page, reader, with_store};
use crate::args::QueryArgs;
use crate::exit::Failure;
use crate::output::{Output, Target};
use crate::progress::Progress;

pub(crate) async fn run(url: &str, args: QueryArgs) -> Result<(), Failure> {
    let filter = args.filter.filter(Timestamp::now())?;
    let target = Target::stdout();
    let mut listing = target.indented_listing(args.format, args.indent)?;
    with_store(url, IfMissing::Fail, async |store| {
        let reader = reader(store)?;
        let mut out = Output::new();
        // Where events run over the terminal, they are the progress.
        let mut progress = Progress::new("events", !target.is_terminal());
        let mut count = 0;
        for_each_page(reader, filter, args.skip, args.limit, |page| {
            listing.page(page, &mut out)?;
            out.flush()?;
            count += page.len() as u64;
            progress.at(count);
            Ok(())
        })
        .await?;
        listing.end(&mut out)?;
        out.flush()?;
        Ok(())
    })
    .await
}
