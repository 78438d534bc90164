//! `export`: every event that passes the filters.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tower_audit::export::{Csv, EventFormat};
use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{self, AuditStore, StoreError, sqlite};
use tower_audit::{AuditEvent, Timestamp};

use super::open_store::{OnMissing, reader, with_shared_store};
use crate::args::{ExportArgs, ExportFormat, ProfileArgs};
use crate::error::CliError;
use crate::output::{AtomicFile, OutputTarget, Stdout};
use crate::progress::Progress;
use crate::signals::interrupt;

/// The number of events in a page.
const PAGE_EVENTS: usize = 500;
/// The number of pages that are read ahead.
const PAGES_AHEAD: usize = 2;

pub(crate) async fn run(url: &str, args: ExportArgs) -> Result<(), CliError> {
    let filter = args.filter.filter(Timestamp::now(), false)?;
    let form = Form::of(&args)?;
    let Some(path) = args.output.filter(|path| path.as_os_str() != "-") else {
        return with_shared_store(url, OnMissing::Fail, async |store| {
            let target = OutputTarget::stdout();
            let mut out = Stdout::new();
            let mut listing = form.listing(target);
            write(store, filter, &mut *listing, &mut out, !target.is_terminal()).await?;
            Ok(out.flush()?)
        })
        .await;
    };
    // Before there is a file that would have to be removed.
    let interrupt = interrupt();
    if is_of_store(url, &path) {
        return Err(CliError::Usage(format!(
            "--output: {} is a file of the log itself: name another; nothing was changed",
            path.display()
        )));
    }
    let file = AtomicFile::new(path.clone(), args.force)?;
    let work = with_shared_store(url, OnMissing::Fail, async |store| {
        let mut file = file;
        let mut listing = form.listing(OutputTarget::file());
        let count = write(store, filter, &mut *listing, &mut file, true).await.map_err(|failure| match failure {
            CliError::Output(cause) => CliError::File { path, cause },
            other => other,
        })?;
        file.finish()?;
        Ok(count)
    });
    let count = tokio::select! {
        () = interrupt => return Err(CliError::ExportInterrupted),
        count = work => count?,
    };
    let mut out = Stdout::new();
    writeln!(out, "{count}")?;
    Ok(out.flush()?)
}

/// The format of the events.
#[derive(Debug, Clone)]
struct Form {
    format: ExportFormat,
    profile: ProfileArgs,
    raw: bool,
    bom: bool,
}

impl Form {
    fn of(args: &ExportArgs) -> Result<Self, CliError> {
        let ExportArgs { format, raw, bom, .. } = *args;
        for (option, is_given) in [("--raw", raw), ("--bom", bom)] {
            if is_given && format != ExportFormat::Csv {
                return Err(CliError::Usage(format!("{option}: it is about CSV: add --format csv, or leave it out")));
            }
        }
        args.profile.listing(Some(format.into()))?;
        Ok(Self { format, profile: args.profile.clone(), raw, bom })
    }

    fn listing(&self, target: OutputTarget) -> Box<dyn EventFormat> {
        if let Ok(Some(profile)) = self.profile.listing(Some(self.format.into())) {
            return Box::new(profile);
        }
        if self.format != ExportFormat::Csv {
            return target.listing(self.format.into());
        }
        let csv = if self.raw && !target.is_terminal() { Csv::raw() } else { target.csv() };
        Box::new(if self.bom { csv.with_byte_order_mark() } else { csv })
    }
}

/// The file of a store that is on Unix alone.
#[cfg(unix)]
fn unix_file(url: &str) -> Option<PathBuf> {
    store::jsonl::path_of(url).or_else(|| store::duckdb::path_of(url))
}

#[cfg(not(unix))]
fn unix_file(_url: &str) -> Option<PathBuf> {
    None
}

/// Returns true for the rest of the name of a file that a log of JSON lines has, or may have; or the write-ahead log of DuckDB.
fn is_beside(url: &str, rest: &[u8]) -> bool {
    (url.starts_with("jsonl:") || url.starts_with("duckdb:")) && rest.starts_with(b".")
}

/// Returns true if a file belongs to the store of this URL, by any name or link.
fn is_of_store(url: &str, path: &Path) -> bool {
    let Some(database) = sqlite::path_of(url).or_else(|| unix_file(url)) else { return false };
    let Some(name) = database.file_name() else { return false };
    let folder_of = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.canonicalize().ok()
    };
    // SQLite makes files beside the database, and removes them: also one that is not there just now. A log of JSON lines
    // has rotated ones, and DuckDB a write-ahead log.
    let is_named_so = |path: &Path, name: &OsStr| {
        let own = path.file_name().unwrap_or_default().as_encoded_bytes();
        own.strip_prefix(name.as_encoded_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-") || is_beside(url, rest))
    };
    if is_named_so(path, name) && folder_of(path).is_some_and(|folder| folder_of(&database) == Some(folder)) {
        return true;
    }
    let beside = folder_of(&database).and_then(|folder| std::fs::read_dir(folder).ok());
    let files = beside.into_iter().flatten().flatten().map(|entry| entry.path());
    // The database may be a link to a file elsewhere, with its files beside it there.
    let elsewhere = database.canonicalize().ok();
    let more = elsewhere.iter().flat_map(|real| {
        ["", "-wal", "-shm"].map(|end| {
            let mut file = real.clone().into_os_string();
            file.push(end);
            PathBuf::from(file)
        })
    });
    files.filter(|file| is_named_so(file, name)).chain(more).any(|file| is_same_file(&file, path))
}

#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    place(one).is_some_and(|one| place(other) == Some(one))
}

#[cfg(not(unix))]
fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Writes every page while the next ones are read, and returns the number of events.
async fn write(
    store: &Arc<dyn AuditStore>,
    filter: Filter,
    listing: &mut dyn EventFormat,
    out: &mut dyn Write,
    shows_progress: bool,
) -> Result<u64, CliError> {
    reader(&**store)?;
    let mut progress = Progress::new("events", shows_progress);
    if progress.is_enabled() {
        let (store, filter, total) = (Arc::clone(store), filter.clone(), progress.total());
        tokio::spawn(async move {
            if let Some(reader) = store.parts().reader
                && let Ok(count) = reader.count(&filter).await
            {
                let _ = total.set(count);
            }
        });
    }
    let mut count = 0;
    let mut pages = read_ahead(Arc::clone(store), filter);
    while let Some(page) = pages.recv().await {
        let page = page?;
        listing.write_page(&page, out)?;
        count += page.len() as u64;
        progress.at(count);
    }
    listing.finish(out)?;
    Ok(count)
}

/// Reads up to [`PAGES_AHEAD`] pages ahead of the one that is written.
fn read_ahead(store: Arc<dyn AuditStore>, filter: Filter) -> mpsc::Receiver<Result<Vec<AuditEvent>, StoreError>> {
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        let Some(reader) = store.parts().reader else { return };
        let mut listing = pin!(store::pages(reader, PageQuery::new(filter, PAGE_EVENTS)));
        while let Some(page) = listing.next().await {
            if sender.send(page).await.is_err() {
                return;
            }
        }
    });
    pages
}
