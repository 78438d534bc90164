//! Diagnostics of the file, for `doctor`.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::config::{Config, with_suffix};
use super::error::DuringOperation as _;
use super::file_identity::LARGE_LOG_BYTES;
use super::file_key::length;
use super::journal::journal_cache::MAX_EVENTS;
use super::journal::row_check;
use super::journal::stored_row::EVENTS_N;
use super::open_counts::OpenCounts;
use super::parked_connections::ParkedConnections;
use super::read_pool::ReadPool;
use super::schema::{self, VERSION};
use super::sealing::tables;
use super::segments::terms::TermKey;
use super::segments::{index_check, segment_list_check};
use super::sqlite_version::{self, Version};
use crate::store::mount::{Mount, VOLATILE_HINT, volatile_message};
use crate::store::{Diagnostic, StoreError};

pub(super) async fn inspect(
    readers: &ReadPool,
    config: &Config,
    parking: &ParkedConnections,
) -> Result<Vec<Diagnostic>, StoreError> {
    let mut lease = readers.take(config).await?;
    let result = ask(lease.db()).await;
    let mut diagnostics = readers.finish(lease, result).await?;
    if let Ok(database) = config.resolved() {
        diagnostics.push(log_of(length(&with_suffix(&database, "-wal"))?));
        if let Some(file_system) = Mount::of(&database).as_ref().and_then(Mount::volatile_file_system) {
            diagnostics.push(Diagnostic::warning(
                "mount",
                format!("not durable: {}", volatile_message(file_system)),
                VOLATILE_HINT,
            ));
        }
    }
    let copies = parking.copies();
    if !copies.is_empty() {
        let names: Vec<_> = copies.iter().map(|copy| copy.display().to_string()).collect();
        diagnostics.push(Diagnostic::warning(
            "replaced",
            "the log file was removed or replaced while it was written",
            format!("the events of what was there are in {}: read them as logs of their own", names.join(", ")),
        ));
    }
    Ok(diagnostics)
}

/// Returns the diagnostics of the open events.
pub(super) fn of_open(OpenCounts { alive, dead }: OpenCounts) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    if alive > 0 {
        let text = format!("{alive} requests or purges have started and not ended, of writers that live");
        diagnostics.push(Diagnostic::ok("open", text));
    }
    if dead > 0 {
        diagnostics.push(Diagnostic::warning(
            "open",
            format!("{dead} requests or purges have started and not ended, of writers that do not live any more"),
            "the next log that opens closes them as `unknown`: start the service",
        ));
    }
    diagnostics
}

/// Returns the diagnostic of open events that could not be counted.
pub(super) fn of_uncounted(error: &StoreError) -> Diagnostic {
    let text = format!("the open events could not be counted: {error}");
    Diagnostic::warning("open", text, "mend what the other lines name, then ask again")
}

/// Returns true if there are open events.
pub(super) async fn has_open(readers: &ReadPool, config: &Config) -> Result<bool, StoreError> {
    let mut lease = readers.take(config).await?;
    let result = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_started)").fetch_one(lease.db()).await;
    readers.finish(lease, result.during(DOING)).await
}

/// The diagnostic for a write-ahead log of this size.
fn log_of(bytes: u64) -> Diagnostic {
    let text = format!("the file beside it (-wal) has {} MB", bytes / 1_000_000);
    if bytes <= LARGE_LOG_BYTES {
        return Diagnostic::ok("wal", text);
    }
    Diagnostic::warning(
        "wal",
        text,
        "a program that reads the file has had a transaction open for long: end it, and the log shrinks",
    )
}

async fn ask(db: &mut SqliteConnection) -> Result<Vec<Diagnostic>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT sqlite_version(), (SELECT count(*) FROM audit_segments), \
         (SELECT coalesce(sum(max({EVENTS_N}, 0)), 0) FROM audit_journal), \
         (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)"
    )))
    .fetch_one(&mut *db)
    .await
    .during(DOING)?;
    let number = |column: usize| row.try_get::<i64, _>(column).during(DOING);
    let sqlite: String = row.try_get(0).during(DOING)?;
    let (segments, journal, bytes) = (number(1)?, number(2)?, number(3)?);
    let mut diagnostics = vec![
        Diagnostic::ok("tables", format!("version {VERSION}; SQLite {sqlite}")),
        Diagnostic::ok(
            "size",
            format!("{} MB; {segments} indexed segments, {journal} events not indexed yet", bytes / 1_000_000),
        ),
    ];
    if Version::parse(&sqlite).resets_logs_wrongly() {
        let (text, remedy) = sqlite_version::fault(&sqlite);
        diagnostics.push(Diagnostic::error("sqlite", text, remedy));
    }
    let triggers = schema::triggers(&mut *db).await?;
    if !triggers.is_empty() {
        diagnostics.push(Diagnostic::error("triggers", schema::triggers_message(&triggers), schema::TRIGGERS_HINT));
    }
    diagnostics.extend(contradictions(&mut *db).await?);
    diagnostics.extend(Diagnostic::of_missing_seal(&tables::missing(&mut *db).await?));
    if let Err(error) = TermKey::load(&mut *db).await {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        diagnostics.push(Diagnostic::error("index", format!("events are not indexed: {cause}"), TERM_KEY_HINT));
        return Ok(diagnostics);
    }
    let damaged = index_check::find_damaged(&mut *db).await?;
    if !damaged.is_empty() {
        diagnostics.push(Diagnostic::error(
            "index",
            format!("the index of {} segments misses events, so that filters and counts are wrong", damaged.len()),
            "`tower-audit migrate` builds it again",
        ));
    }
    if journal > MOST_WAITING {
        diagnostics.push(Diagnostic::warning(
            "journal",
            format!("{journal} events wait to be indexed, so that reading is slow"),
            "see in the service's log why they are not: it warns of each time that it fails",
        ));
    }
    Ok(diagnostics)
}

/// The columns that count and bound events, against the events.
async fn contradictions(db: &mut SqliteConnection) -> Result<Vec<Diagnostic>, StoreError> {
    let mut diagnostics = Vec::new();
    let journal = row_check::find_faults(&mut *db).await?;
    if journal.rows > 0 {
        diagnostics.push(Diagnostic::error(
            "journal",
            format!(
                "{} rows of the journal were changed: their numbers, times or ids contradict their events, so that listings and \
                 counts may be wrong",
                journal.rows
            ),
            CONTRADICTION_HINT,
        ));
    }
    if journal.undecodable > 0 {
        diagnostics.push(Diagnostic::warning(
            "undecodable",
            format!(
                "{} events of the journal cannot be decoded, and are shown as `details.unreadable_event`",
                journal.undecodable
            ),
            "find out who changed the file, or whether its disk fails; a copy that is whole has the events",
        ));
    }
    let segments = segment_list_check::find_contradicting(db).await?;
    if !segments.is_empty() {
        diagnostics.push(Diagnostic::error(
            "segments",
            format!(
                "the list of segments was changed: {} entries contradict their events, so that listings and counts may be wrong",
                segments.len()
            ),
            CONTRADICTION_HINT,
        ));
    }
    Ok(diagnostics)
}

const CONTRADICTION_HINT: &str = "copy the file and those beside it (-wal, -shm) first, and find out who changed it; `tower-audit \
    migrate` then makes numbers, times and ids anew from the events, and changes no event";
const TERM_KEY_HINT: &str = "`tower-audit migrate` makes another key, and builds the indexes again";

/// The largest ordinary number of journal events: a batch may come on top of the bound.
const MOST_WAITING: i64 = 2 * MAX_EVENTS as i64;
const DOING: &str = "inspecting the file";
