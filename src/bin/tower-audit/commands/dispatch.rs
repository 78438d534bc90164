//! The subcommands, and what they share: one place opens the store, one walks through its pages.

mod backup;
mod completions;
mod count;
mod destroy_and_recreate;
mod doctor;
mod export;
mod get;
mod man;
mod migrate;
mod purge;
mod query;
mod roles;
mod serve;
mod stats;
mod tail;

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use tower_audit::AuditEvent;
use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::store::{AuditStore, OpenOptions, Reader, StoreAdmin};

use crate::args::{Args, Command};
use crate::error::CliError;
use crate::progress::with_progress;
use crate::store_url::store_url;

/// Does what was asked for.
pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let url = store_url(args.url, args.url_file, |name| std::env::var(name))?;
    let named = || url.clone().map(|url| url.url).ok_or_else(no_store);
    match args.command {
        Command::Query(args) => query::run(&named()?, args).await,
        Command::Tail(args) => tail::run(&named()?, args).await,
        Command::Stats(args) => stats::run(&named()?, args).await,
        Command::Export(args) => export::run(&named()?, args).await,
        Command::Count(args) => count::run(&named()?, args).await,
        Command::Get(args) => get::run(&named()?, args).await,
        Command::Purge(args) => purge::run(&named()?, args).await,
        Command::DestroyAndRecreate(args) => destroy_and_recreate::run(&named()?, args).await,
        Command::Backup(args) => backup::run(&named()?, args).await,
        Command::Migrate(args) => migrate::run(&named()?, args).await,
        Command::Serve(args) => serve::run(&named()?, args).await,
        Command::Doctor(args) => doctor::run(url, args).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Man(args) => man::run(&args),
    }
}

fn no_store() -> CliError {
    CliError::Usage(
        "no store is named: give --url URL or --url-file FILE, or set AUDIT_URL or DATABASE_URL; a URL is such as \
         sqlite:/var/lib/app/audit.db"
            .into(),
    )
}

/// The account that runs the program, as its environment names it: a name for honest operators, no proof against
/// others.
fn user() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|user| !user.is_empty())
}

/// Asks at the terminal, and declines unless the answer, without the blanks around it, is right.
fn ask(question: &str, is_right: impl FnOnce(&str) -> bool) -> Result<(), CliError> {
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(CliError::Input)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(CliError::Input)?;
    if is_right(answer.trim()) { Ok(()) } else { Err(CliError::Declined) }
}

/// Whether a store that does not exist yet is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnMissing {
    Create,
    /// A mistyped path is an error, never an empty log.
    Fail,
}

/// Opens the store, does `work` with it, and closes it.
async fn with_store<T>(
    url: &str,
    if_missing: OnMissing,
    work: impl AsyncFnOnce(&dyn AuditStore) -> Result<T, CliError>,
) -> Result<T, CliError> {
    with_shared_store(url, if_missing, async |store| work(&**store).await).await
}

/// The same for work that shares the store with tasks of its own.
async fn with_shared_store<T>(
    url: &str,
    if_missing: OnMissing,
    work: impl AsyncFnOnce(&Arc<dyn AuditStore>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let mut options = OpenOptions::default();
    options.create_if_missing = if_missing == OnMissing::Create;
    let store: Arc<dyn AuditStore> = with_progress("opening the store", tower_audit::store::open(url, options)).await?;
    let result = work(&store).await;
    // Whatever was appended or removed is durable by now; what closing could still fail at is tidying up.
    let _ = store.close().await;
    result
}

pub(crate) fn reader(store: &dyn AuditStore) -> Result<&dyn Reader, CliError> {
    store.reader().ok_or_else(|| CliError::Unsupported { store: store.capabilities().name, what: "read" })
}

fn admin<'a>(store: &'a dyn AuditStore, what: &'static str) -> Result<&'a dyn StoreAdmin, CliError> {
    store.keeper().ok_or_else(|| CliError::Unsupported { store: store.capabilities().name, what })
}

/// How many events are in memory at a time.
const PAGE_EVENTS: usize = 256;

/// Gives `visit` page after page of the events that pass `filter`, at most `limit` events; a limit of 0 is none.
///
/// Each page begins where the one before it ended, so that the last page costs no more than the first, and events that
/// come in meanwhile neither repeat nor hide another.
async fn for_each_page(
    reader: &dyn Reader,
    filter: Filter,
    skip: u64,
    limit: u64,
    mut visit: impl FnMut(&[AuditEvent]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut left = if limit == 0 { u64::MAX } else { limit };
    let mut query = PageQuery::new(filter, PAGE_EVENTS);
    query.skip = skip;
    while left > 0 {
        query.limit = usize::try_from(left).map_or(PAGE_EVENTS, |left| left.min(PAGE_EVENTS));
        let page = reader.query(&query).await?;
        visit(&page)?;
        left -= page.len() as u64;
        match page.last() {
            Some(last) if page.len() == query.limit => query.after = Some(Cursor::of(last)),
            _ => break,
        }
        query.skip = 0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_audit::EventType;
    use tower_audit::store::MemoryStore;

    async fn pages(events: usize, skip: u64, limit: u64) -> Vec<usize> {
        let store = MemoryStore::new();
        let batch: Vec<_> = (0..events).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        store.append(&batch).await.unwrap();
        let mut sizes = Vec::new();
        let mut ids = Vec::new();
        for_each_page(&store, Filter::default(), skip, limit, |page| {
            sizes.push(page.len());
            ids.extend(page.iter().map(|event| event.event_id));
            Ok(())
        })
        .await
        .unwrap();
        let skip = usize::try_from(skip).unwrap();
        let expected: Vec<_> = batch.iter().rev().skip(skip).take(ids.len()).map(|event| event.event_id).collect();
        assert_eq!(ids, expected);
        sizes
    }

    #[tokio::test]
    async fn pages_end_where_they_should() {
        assert_eq!(pages(0, 0, 0).await, [0]);
        assert_eq!(pages(255, 0, 0).await, [255]);
        assert_eq!(pages(256, 0, 0).await, [256, 0]);
        assert_eq!(pages(600, 0, 0).await, [256, 256, 88]);
        assert_eq!(pages(600, 0, 100).await, [100]);
        assert_eq!(pages(600, 0, 256).await, [256]);
        assert_eq!(pages(600, 0, 300).await, [256, 44]);
        assert_eq!(pages(600, 10, 300).await, [256, 44]);
        assert_eq!(pages(600, 500, 300).await, [100]);
        assert_eq!(pages(600, 1000, 0).await, [0]);
    }
}
