//! `query`: prints the events that pass the filters.

use std::io::Write as _;
use std::pin::pin;

use futures_util::TryStreamExt as _;
use tower_audit::Timestamp;
use tower_audit::export::EventFormat;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{Reader, pages};

use super::open_store::{OnMissing, reader, with_store};
use crate::args::QueryArgs;
use crate::error::CliError;
use crate::output::{OutputTarget, Stdout};
use crate::progress::Progress;

/// The largest number of events in memory at a time.
const PAGE_EVENTS: usize = 256;

pub(crate) async fn run(url: &str, args: QueryArgs) -> Result<(), CliError> {
    let filter = args.filter.filter(Timestamp::now(), true)?;
    let target = OutputTarget::stdout();
    let mut listing = match args.profile.listing(args.format)? {
        Some(profile) => Box::new(profile),
        None => target.indented_listing(args.format, args.indent)?,
    };
    with_store(url, OnMissing::Fail, async |store| {
        write_listing(reader(store)?, filter, args.limit, args.skip, &mut *listing, target).await
    })
    .await
}

/// Writes the newest events that pass the filter, page by page: `limit` of them, 0 for all.
pub(super) async fn write_listing(
    reader: &dyn Reader,
    filter: Filter,
    limit: u64,
    skip: u64,
    listing: &mut dyn EventFormat,
    target: OutputTarget,
) -> Result<(), CliError> {
    let mut out = Stdout::new();
    // Where events run over the terminal, they are the progress.
    let mut progress = Progress::new("events", !target.is_terminal());
    let mut count = 0;
    let limit = if limit == 0 { u64::MAX } else { limit };
    let page_size = usize::try_from(limit).map_or(PAGE_EVENTS, |limit| limit.min(PAGE_EVENTS));
    let mut pages = pin!(pages(reader, PageQuery::new(filter, page_size).skip(skip)));
    while count < limit
        && let Some(mut page) = pages.try_next().await?
    {
        page.truncate(usize::try_from(limit - count).unwrap_or(usize::MAX));
        listing.write_page(&page, &mut out)?;
        out.flush()?;
        count += page.len() as u64;
        progress.at(count);
    }
    listing.finish(&mut out)?;
    Ok(out.flush()?)
}
