//! `export`: every event that passes the filters.

use std::io::Write;
use std::sync::Arc;

use tokio::sync::mpsc;
use tower_audit::export::Listing;
use tower_audit::query::{Cursor, Filter, Query};
use tower_audit::store::{AuditStore, StoreError};
use tower_audit::{AuditEvent, Timestamp};

use super::{IfMissing, reader, with_shared_store};
use crate::args::ExportArgs;
use crate::exit::Failure;
use crate::output::{FileOutput, Output, Target};
use crate::progress::Progress;
use crate::signals::interrupt;

/// How many events a page has. A few pages are in memory at a time.
const PAGE_EVENTS: usize = 500;
const PAGES_AHEAD: usize = 2;

pub(crate) async fn run(url: &str, args: ExportArgs) -> Result<(), Failure> {
    let filter = args.filter.filter(Timestamp::now())?;
    let format = args.format.into();
    let Some(path) = args.output else {
        return with_shared_store(url, IfMissing::Fail, async |store| {
            let target = Target::stdout();
            let mut out = Output::new();
            let mut listing = target.listing(format);
            write(store, filter, &mut *listing, &mut out, !target.is_terminal()).await?;
            Ok(out.flush()?)
        })
        .await;
    };
    // Before there is a file that would have to be removed.
    let interrupt = interrupt();
    let file = FileOutput::new(path.clone(), args.force)?;
    let work = with_shared_store(url, IfMissing::Fail, async |store| {
        let mut file = file;
        let mut listing = Target::file().listing(format);
        let count = write(store, filter, &mut *listing, &mut file, true).await.map_err(|failure| match failure {
            Failure::Output(cause) => Failure::File { path, cause },
            other => other,
        })?;
        file.finish()?;
        Ok(count)
    });
    let count = tokio::select! {
        () = interrupt => return Err(Failure::Unfinished),
        count = work => count?,
    };
    let mut out = Output::new();
    writeln!(out, "{count}")?;
    Ok(out.flush()?)
}

/// Writes page after page, while the next is read; says how many events they had.
async fn write(
    store: &Arc<dyn AuditStore>,
    filter: Filter,
    listing: &mut dyn Listing,
    out: &mut dyn Write,
    shows_progress: bool,
) -> Result<u64, Failure> {
    reader(&**store)?;
    let mut progress = Progress::new("events", shows_progress);
    if progress.is_wanted() {
        let (store, filter, total) = (Arc::clone(store), filter.clone(), progress.total());
        tokio::spawn(async move {
            if let Some(reader) = store.reader()
                && let Ok(count) = reader.count(&filter).await
            {
                let _ = total.set(count);
            }
        });
    }
    let mut count = 0;
    let mut pages = pages(Arc::clone(store), filter);
    while let Some(page) = pages.recv().await {
        let page = page?;
        listing.page(&page, out)?;
        count += page.len() as u64;
        progress.at(count);
    }
    listing.end(out)?;
    Ok(count)
}

/// Reads page after page, as fast as they are taken.
fn pages(store: Arc<dyn AuditStore>, filter: Filter) -> mpsc::Receiver<Result<Vec<AuditEvent>, StoreError>> {
    let (pages, taken) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        let Some(reader) = store.reader() else { return };
        let mut query = Query::new(filter, PAGE_EVENTS);
        loop {
            let page = reader.query(&query).await;
            let next = page.as_ref().ok().filter(|page| page.len() == query.limit).and_then(|page| page.last());
            let next = next.map(Cursor::of);
            let is_taken = pages.send(page).await.is_ok();
            match next {
                Some(last) if is_taken => query.after = Some(last),
                _ => return,
            }
        }
    });
    taken
}
