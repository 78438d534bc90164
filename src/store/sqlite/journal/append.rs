//! The hot path: one batch, one row, one commit.
//!
//! The statement carries a guard: it inserts only if the journal's last row is the one that this connection knows. So an
//! append usually takes no lock and reads nothing before its statement:
//!
//! - t0: A and B both know row 41 as the last.
//! - t1: A inserts row 42 after 41 and commits.
//! - t2: B inserts after 41; the guard finds 42, and no row is inserted.
//! - t3: B takes the write lock, reads row 42 for its ids, and inserts row 43.
//!
//! The guard also holds the number of the schema. A trigger that somebody creates meanwhile could delete the row in the same
//! commit:
//!
//! - t0: A knows schema 9, which has no trigger on the log's tables.
//! - t1: a shell creates a trigger, which makes it schema 10.
//! - t2: A inserts; the guard finds 10, and no row is inserted.
//! - t3: A takes the write lock, looks for triggers, and refuses the events with the trigger's name.

use std::sync::Arc;

use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::compaction;
use super::duplicate_lookup::ids_in_segments;
use super::journal_row::JournalRow;
use crate::event::{AuditEvent, EventType, Phase, Timestamp};
use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, discarded, from_driver, is_discarded};
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::liveness_lock::LivenessLock;
use crate::store::sqlite::write_connection::PROBE;
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// The last number that a writer assigns: enough for a million rows a second in a thousand centuries.
const LAST_SEQ: i64 = i64::MAX / 2;

/// Appends the events that the file does not have yet.
pub(crate) async fn append(
    state: &mut WriterState,
    writer_lock: &mut LivenessLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let new = take_new(state, events).await?;
    if new.len() < events.len() {
        // A repeated event. The cache may be old: another process may have deleted the first one since.
        let taken: Vec<u128> = new.iter().map(|event| event.event_id.as_u128()).collect();
        state.journal.remove_ids(&taken);
        return append_under_lock(state, writer_lock, events).await;
    }
    let batch = JournalRow::of(&new).during(DOING)?;
    if batch.started_changes.as_ref().is_some_and(|changes| changes.any_started) {
        writer_lock.register(&state.connection.database)?;
    } else if writer_lock.is_registered() {
        // Only an event that opens something needs the lock now; health reports a lock that cannot be taken.
        let _ = writer_lock.register(&state.connection.database);
    }
    if insert_guarded(state, writer_lock, &batch).await? {
        let seq = state.journal.last_seq + 1;
        state.journal.push_appended(seq, batch);
        return Ok(());
    }
    state.journal.remove_ids(&batch.ids);
    append_under_lock(state, writer_lock, events).await
}

async fn append_under_lock(
    state: &mut WriterState,
    writer_lock: &mut LivenessLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    append_locked(&mut transaction, writer_lock, events).await?;
    transaction.commit().await
}

/// Appends inside a transaction.
pub(crate) async fn append_locked(
    transaction: &mut StateTransaction<'_>,
    writer_lock: &mut LivenessLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    transaction.refresh().await?;
    begin_journal(transaction).await?;
    let new = take_new(transaction, events).await?;
    if new.is_empty() {
        return Ok(());
    }
    let batch = JournalRow::of(&new).during(DOING)?;
    if batch.started_changes.as_ref().is_some_and(|changes| changes.any_started) {
        writer_lock.register(&transaction.connection.database)?;
    }
    insert_locked(transaction, writer_lock, &batch).await?;
    let seq = transaction.journal.last_seq + 1;
    transaction.journal.push_appended(seq, batch);
    Ok(())
}

/// Inserts the row after the last one.
async fn insert_locked(
    transaction: &mut StateTransaction<'_>,
    writer_lock: &LivenessLock,
    batch: &JournalRow,
) -> Result<(), StoreError> {
    let guard = Guard::of(transaction);
    let sql = if batch.started_changes.is_some() { INSERT_BATCH_AND_STARTED } else { INSERT_BATCH };
    match bound(sqlx::query(sql), guard, writer_lock, batch).execute(&mut *transaction.connection.db).await {
        // Of several statements the sum: they look at the number themselves.
        Ok(done) if batch.started_changes.is_some() || done.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(discarded(DOING)),
        Err(error) if is_discarded(&error) => Err(discarded(DOING)),
        Err(error) => Err(from_driver(DOING, error)),
    }
}

/// Ensures that the journal has a last row, with a number that another can follow. Call it after
/// [`WriterState::refresh`].
///
/// An emptied journal continues from the clock: example: last number 41, rows deleted by a shell, next number
/// 1780000000000000. A writer that still knows 41 meets no number it has seen.
pub(crate) async fn begin_journal(transaction: &mut StateTransaction<'_>) -> Result<(), StoreError> {
    let last = transaction.journal.last_seq;
    if can_be_followed(last) {
        return Ok(());
    }
    compaction::compact_rows(transaction, last).await?;
    // It may have created a segment.
    transaction.refresh_schema().await?;
    let first = Timestamp::now().as_micros();
    let done = sqlx::query(EMPTY_ROW).bind(first).execute(&mut *transaction.connection.db).await.during(DOING)?;
    if done.rows_affected() != 1 {
        return Err(discarded(DOING));
    }
    transaction.journal.restart(first);
    Ok(())
}

/// Returns false if the journal has no row, or the greatest number that SQLite has.
fn can_be_followed(last_seq: i64) -> bool {
    (1..=LAST_SEQ).contains(&last_seq)
}

/// Rehearses an append: inserts two events in a transaction and rolls it back. Then commits a counter, which meets the disk.
/// Everything that could reject the next append is met.
///
/// Two transactions: what is rolled back to a savepoint still counts as changed, and its pages, four times those of the
/// counter, would be in the write-ahead log with the commit.
pub(crate) async fn rehearse(state: &mut WriterState) -> Result<(), StoreError> {
    const DOING: &str = "health";
    let mut started = AuditEvent::new(EventType::AUDIT_PURGE);
    started.phase = Phase::Started;
    let mut completed = AuditEvent::new(EventType::AUDIT_PURGE);
    completed.request.started_event_id = Some(started.event_id);
    let batch = JournalRow::of(&[&started, &completed]).during(DOING)?;
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.refresh().await?;
    let known = transaction.journal.last_seq;
    begin_journal(&mut transaction).await?;
    insert_locked(&mut transaction, &LivenessLock::new(), &batch).await?;
    transaction.roll_back().await?;
    let mut transaction = StateTransaction::begin(state).await?;
    if transaction.journal.last_seq != known {
        // The journal's new beginning was rolled back, too.
        transaction.journal = transaction.journal.emptied();
        transaction.refresh().await?;
    }
    sqlx::query(PROBE).execute(&mut *transaction.connection.db).await.during(DOING)?;
    transaction.commit().await
}

/// Returns the new events, each once, and adds their ids to the journal cache.
async fn take_new<'a>(state: &mut WriterState, events: &'a [AuditEvent]) -> Result<Vec<&'a AuditEvent>, StoreError> {
    let mut new = Vec::with_capacity(events.len());
    new.extend(events.iter().filter(|event| state.journal.insert_id(event.event_id.as_u128())));
    let ids: Vec<u128> = new.iter().map(|event| event.event_id.as_u128()).collect();
    let kept = ids_in_segments(state, &ids).await?;
    if !kept.is_empty() {
        state.journal.remove_ids(&kept);
        new.retain(|event| !kept.contains(&event.event_id.as_u128()));
    }
    Ok(new)
}

/// Inserts a batch if no other process has appended since and a row can follow the last; otherwise returns false.
async fn insert_guarded(
    state: &mut WriterState,
    writer_lock: &LivenessLock,
    batch: &JournalRow,
) -> Result<bool, StoreError> {
    let guard = Guard::of(state);
    if !can_be_followed(guard.last_seq) {
        return Ok(false);
    }
    let at_once = batch.started_changes.is_some();
    let sql = if at_once { INSERT_BATCH_AND_STARTED_AT_ONCE } else { INSERT_BATCH };
    let mut wait = state.connection.lock_wait();
    let done = loop {
        let done = bound(sqlx::query(sql), guard, writer_lock, batch).execute(&mut *state.connection.db).await;
        if !wait.is_to_repeat(&done).await {
            break done;
        }
    };
    match done {
        // Of several statements the sum: they look at the number themselves.
        Ok(done) => Ok(at_once || done.rows_affected() == 1),
        // The append under the lock meets any other error.
        Err(error) if at_once && is_discarded(&error) => {
            sqlx::query("ROLLBACK").execute(&mut *state.connection.db).await.during(DOING)?;
            Ok(false)
        }
        Err(error) => Err(from_driver(DOING, error)),
    }
}

type SqliteQuery<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The numbers that a statement compares with those of the file.
#[derive(Debug, Clone, Copy)]
struct Guard {
    last_seq: i64,
    schema: i64,
}

impl Guard {
    fn of(state: &WriterState) -> Self {
        Self { last_seq: state.journal.last_seq, schema: state.checked_schema }
    }
}

fn bound<'q>(
    mut query: SqliteQuery<'q>,
    guard: Guard,
    writer_lock: &LivenessLock,
    batch: &JournalRow,
) -> SqliteQuery<'q> {
    if let Some(changes) = &batch.started_changes {
        query = query.bind(changes.any_started.then(|| writer_lock.id().to_vec())).bind(changes.changes.as_str());
    }
    query
        .bind(guard.last_seq)
        .bind(guard.schema)
        .bind(i64::try_from(batch.ids.len()).unwrap_or(i64::MAX))
        .bind(batch.min_at)
        .bind(batch.max_at)
        .bind(id_bytes(batch.min_id()))
        .bind(id_bytes(batch.max_id()))
        .bind(Arc::clone(&batch.events))
}

const DOING: &str = "append";

/// Columns are named: others may have added more.
macro_rules! journal_columns {
    () => {
        "(seq, events_n, min_at, max_at, min_id, max_id, events) "
    };
}
pub(crate) use journal_columns;

const INSERT_BATCH: &str = concat!(
    "INSERT INTO audit_journal",
    journal_columns!(),
    "SELECT ?1 + 1, ?3, ?4, ?5, ?6, ?7, ?8 WHERE (SELECT max(seq) FROM audit_journal) = ?1 \
    AND (SELECT schema_version FROM pragma_schema_version) = ?2"
);

/// A row without an event.
pub(crate) const EMPTY_ROW: &str =
    concat!("INSERT INTO audit_journal", journal_columns!(), "VALUES (?1, 0, 0, 0, x'', x'', '[]')");

/// If the guard does not hold, `json` refuses a text that is none: a row that is merely left out would not stop the
/// statements after it. Nor would a row that the database discards, so its number is looked at in the same way. No
/// constraint of the table is relied upon, which somebody may have made anew without them.
///
/// The parameters of the short statements come first: the driver counts those that a statement passes over as used,
/// and binds nothing beyond the last.
macro_rules! with_started {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "INSERT INTO audit_journal",
            journal_columns!(),
            "SELECT ?3 + 1, CASE WHEN (SELECT max(seq) FROM audit_journal) = ?3 \
                AND (SELECT schema_version FROM pragma_schema_version) = ?4 THEN ?5 ELSE json('') END, ?6, ?7, ?8, ?9, ?10; \
            SELECT json(CASE changes() WHEN 1 THEN '1' ELSE '' END); \
            INSERT OR IGNORE INTO audit_writers(id) SELECT ?1 WHERE ?1 IS NOT NULL; \
            INSERT OR IGNORE INTO audit_started(event_id, writer, event) \
                SELECT unhex(value ->> 0), ?1, value ->> 1 FROM json_each(?2, '$.started'); \
            DELETE FROM audit_started WHERE event_id IN (SELECT unhex(value) FROM json_each(?2, '$.ended'))",
            $after
        )
    };
}

const INSERT_BATCH_AND_STARTED: &str = with_started!("", "");
const INSERT_BATCH_AND_STARTED_AT_ONCE: &str = with_started!("BEGIN IMMEDIATE; ", "; COMMIT");
