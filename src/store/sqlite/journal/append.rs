//! The hot path: one batch, one row, one commit.
//!
//! The statement carries a guard: it does nothing unless the last row of the journal is the one that this connection
//! knows. So in the usual case no lock is taken before the statement and nothing is read. When the guard fails,
//! another process has appended: then, under the lock, what it appended is read and the batch is tried again.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::compaction;
use super::journal_row::JournalRow;
use crate::event::{AuditEvent, EventType, Phase, Timestamp};
use crate::store::StoreError;
use crate::store::sqlite::connection::PROBE;
use crate::store::sqlite::error::{DuringOperation as _, discarded, from_driver, is_discarded, is_not_null};
use crate::store::sqlite::id_blob::{id_bytes, id_of};
use crate::store::sqlite::schema;
use crate::store::sqlite::writer_lock::WriterLock;
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// Numbers beyond this are no writer's: there are enough for a million rows a second in a thousand centuries.
const LAST_SEQ: i64 = i64::MAX / 2;

/// Keeps the events that are not kept yet.
pub(crate) async fn append(
    state: &mut WriterState,
    writer_lock: &mut WriterLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let fresh = take_new(state, events).await?;
    if fresh.len() < events.len() {
        // A repeated event. What is known of it may be old: another process may have removed it since.
        let taken: Vec<u128> = fresh.iter().map(|event| event.event_id.as_u128()).collect();
        state.journal.remove_ids(&taken);
        return append_under_lock(state, writer_lock, events).await;
    }
    let batch = JournalRow::of(&fresh).during(DOING)?;
    if batch.started_changes.as_ref().is_some_and(|effects| effects.any_started) {
        writer_lock.register(&state.connection.database)?;
    } else if writer_lock.is_registered() {
        // Only an event that opens something needs the lock now; health reports a lock that cannot be taken.
        let _ = writer_lock.register(&state.connection.database);
    }
    if insert_guarded(state, writer_lock, &batch).await? {
        let seq = state.journal.last_seq + 1;
        state.journal.push_row(seq, batch.ids, batch.events.len());
        return Ok(());
    }
    state.journal.remove_ids(&batch.ids);
    append_under_lock(state, writer_lock, events).await
}

async fn append_under_lock(
    state: &mut WriterState,
    writer_lock: &mut WriterLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    append_locked(&mut transaction, writer_lock, events).await?;
    transaction.commit().await
}

/// The same inside of a transaction that holds the write lock.
pub(crate) async fn append_locked(
    transaction: &mut StateTransaction<'_>,
    writer_lock: &mut WriterLock,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    transaction.refresh().await?;
    begin_journal(transaction).await?;
    let fresh = take_new(transaction, events).await?;
    if fresh.is_empty() {
        return Ok(());
    }
    let batch = JournalRow::of(&fresh).during(DOING)?;
    if batch.started_changes.as_ref().is_some_and(|effects| effects.any_started) {
        writer_lock.register(&transaction.connection.database)?;
    }
    insert_locked(transaction, writer_lock, &batch).await?;
    let seq = transaction.journal.last_seq + 1;
    transaction.journal.push_row(seq, batch.ids, batch.events.len());
    Ok(())
}

/// Inserts the row after the last, inside of a transaction that holds the write lock.
async fn insert_locked(
    transaction: &mut StateTransaction<'_>,
    writer_lock: &WriterLock,
    batch: &JournalRow,
) -> Result<(), StoreError> {
    let last_seq = transaction.journal.last_seq;
    let sql = if batch.started_changes.is_some() { INSERT_BATCH_AND_STARTED } else { INSERT_BATCH };
    match bound(sqlx::query(sql), last_seq, writer_lock, batch).execute(&mut *transaction.connection.db).await {
        // Of several statements the sum: they look at the number themselves.
        Ok(done) if batch.started_changes.is_some() || done.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(discarded(DOING)),
        Err(error) if is_discarded(&error) => Err(discarded(DOING)),
        Err(error) => Err(from_driver(DOING, error)),
    }
}

/// Makes sure that the journal has a last row, with a number that another can come after. Inside of a transaction that
/// holds the write lock, after [`WriterState::refresh`].
///
/// The numbers then go on from the clock: another writer whose journal was emptied knows none of them.
pub(crate) async fn begin_journal(transaction: &mut StateTransaction<'_>) -> Result<(), StoreError> {
    let last = transaction.journal.last_seq;
    if (1..=LAST_SEQ).contains(&last) {
        return Ok(());
    }
    compaction::compact_rows(transaction, last).await?;
    let first = Timestamp::now().as_micros();
    let done = sqlx::query(EMPTY_ROW).bind(first).execute(&mut *transaction.connection.db).await.during(DOING)?;
    if done.rows_affected() != 1 {
        return Err(discarded(DOING));
    }
    transaction.journal.restart(first);
    Ok(())
}

/// Appends what an append could have, takes it back, and commits something else that leaves nothing behind: so all
/// that could refuse the next append is met, the disk included.
pub(crate) async fn rehearse(state: &mut WriterState) -> Result<(), StoreError> {
    const DOING: &str = "health";
    let mut started = AuditEvent::new(EventType::AUDIT_PURGE);
    started.phase = Phase::Started;
    let mut completed = AuditEvent::new(EventType::AUDIT_PURGE);
    completed.request.started_event_id = Some(started.event_id);
    let batch = JournalRow::of(&[&started, &completed]).during(DOING)?;
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.refresh().await?;
    begin_journal(&mut transaction).await?;
    sqlx::query("SAVEPOINT rehearsal").execute(&mut *transaction.connection.db).await.during(DOING)?;
    let last_seq = transaction.journal.last_seq;
    insert_locked(&mut transaction, &WriterLock::new(), &batch).await?;
    // A trigger may have deleted the row without an error.
    let is_there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_journal WHERE seq = ?1 + 1 AND min_id = ?2)")
            .bind(last_seq)
            .bind(id_bytes(batch.min_id()))
            .fetch_one(&mut *transaction.connection.db)
            .await
            .during(DOING)?;
    if !is_there {
        return Err(discarded(DOING));
    }
    schema::check_no_triggers(&mut transaction.connection.db).await?;
    sqlx::query("ROLLBACK TO rehearsal; RELEASE rehearsal")
        .execute(&mut *transaction.connection.db)
        .await
        .during(DOING)?;
    sqlx::query(PROBE).execute(&mut *transaction.connection.db).await.during(DOING)?;
    transaction.commit().await
}

/// The events that are not kept yet, each once. Their ids are taken into the backlog.
async fn take_new<'a>(state: &mut WriterState, events: &'a [AuditEvent]) -> Result<Vec<&'a AuditEvent>, StoreError> {
    let mut fresh = Vec::with_capacity(events.len());
    let mut doubtful = Vec::new();
    // Ids grow with time: a new one is usually beyond every segment.
    let highest = state.segments.iter().map(|segment| segment.max_id).max().unwrap_or(0);
    for event in events {
        let id = event.event_id.as_u128();
        if !state.journal.insert_id(id) {
            continue;
        }
        fresh.push(event);
        if id <= highest && state.segments.iter().any(|segment| segment.may_contain(id)) {
            doubtful.push(event.event_id);
        }
    }
    if doubtful.is_empty() {
        return Ok(fresh);
    }
    let kept = ids_in_segments(state, &doubtful).await?;
    state.journal.remove_ids(&kept);
    fresh.retain(|event| !kept.contains(&event.event_id.as_u128()));
    Ok(fresh)
}

/// Which of the ids are in segments.
async fn ids_in_segments(state: &mut WriterState, ids: &[crate::event::EventId]) -> Result<Vec<u128>, StoreError> {
    let mut kept = Vec::new();
    for segment in &state.segments {
        let here: Vec<_> = ids.iter().filter(|id| segment.may_contain(id.as_u128())).collect();
        if here.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT event_id FROM audit_segment_{} WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))",
            segment.n
        );
        let found: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(serde_json::to_string(&here).during(DOING)?)
            .fetch_all(&mut *state.connection.db)
            .await
            .during(DOING)?;
        for id in found {
            kept.push(id_of(&id).during(DOING)?);
        }
    }
    Ok(kept)
}

/// Whether the guard let the batch in.
async fn insert_guarded(
    state: &mut WriterState,
    writer_lock: &WriterLock,
    batch: &JournalRow,
) -> Result<bool, StoreError> {
    let last_seq = state.journal.last_seq;
    if batch.started_changes.is_none() {
        let done = bound(sqlx::query(INSERT_BATCH), last_seq, writer_lock, batch)
            .execute(&mut *state.connection.db)
            .await
            .during(DOING)?;
        return Ok(done.rows_affected() == 1);
    }
    match bound(sqlx::query(WITH_EFFECTS_AT_ONCE), last_seq, writer_lock, batch)
        .execute(&mut *state.connection.db)
        .await
    {
        Ok(_) => Ok(true),
        // What else may be wrong is seen under the lock.
        Err(error) if is_not_null(&error) || is_discarded(&error) => {
            sqlx::query("ROLLBACK").execute(&mut *state.connection.db).await.during(DOING)?;
            Ok(false)
        }
        Err(error) => Err(from_driver(DOING, error)),
    }
}

type SqliteQuery<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn bound<'q>(
    mut query: SqliteQuery<'q>,
    last_seq: i64,
    writer_lock: &WriterLock,
    batch: &JournalRow,
) -> SqliteQuery<'q> {
    if let Some(effects) = &batch.started_changes {
        query = query.bind(effects.any_started.then(|| writer_lock.id().to_vec())).bind(effects.changes.as_str());
    }
    query
        .bind(last_seq)
        .bind(i64::try_from(batch.ids.len()).unwrap_or(i64::MAX))
        .bind(batch.min_at)
        .bind(batch.max_at)
        .bind(id_bytes(batch.min_id()))
        .bind(id_bytes(batch.max_id()))
        .bind(batch.events.as_str())
}

const DOING: &str = "append";

/// The journal may have columns that others have added.
macro_rules! journal_columns {
    () => {
        "(seq, events_n, min_at, max_at, min_id, max_id, events) "
    };
}
pub(crate) use journal_columns;

const INSERT_BATCH: &str = concat!(
    "INSERT INTO audit_journal",
    journal_columns!(),
    "SELECT ?1 + 1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT max(seq) FROM audit_journal) = ?1"
);

/// A row without an event.
pub(crate) const EMPTY_ROW: &str =
    concat!("INSERT INTO audit_journal", journal_columns!(), "VALUES (?1, 0, 0, 0, x'', x'', '[]')");

/// The number of events is null, and so refused, if the guard does not hold: a row that is merely left out would not
/// stop the statements after it. A row that the database discards does not stop them either: `json` does, of a text
/// that is none.
///
/// The parameters of the short statements come first: the driver counts those that a statement passes over as used,
/// and binds nothing beyond the last.
macro_rules! with_effects {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "INSERT INTO audit_journal",
            journal_columns!(),
            "SELECT ?3 + 1, CASE WHEN (SELECT max(seq) FROM audit_journal) = ?3 THEN ?4 END, ?5, ?6, ?7, ?8, ?9; \
            SELECT json(CASE changes() WHEN 1 THEN '1' ELSE '' END); \
            INSERT OR IGNORE INTO audit_instances(id) SELECT ?1 WHERE ?1 IS NOT NULL; \
            INSERT OR IGNORE INTO audit_open_started(event_id, instance, event) \
                SELECT unhex(value ->> 0), ?1, value ->> 1 FROM json_each(?2, '$.started'); \
            DELETE FROM audit_open_started WHERE event_id IN (SELECT unhex(value) FROM json_each(?2, '$.ended'))",
            $after
        )
    };
}

const INSERT_BATCH_AND_STARTED: &str = with_effects!("", "");
const WITH_EFFECTS_AT_ONCE: &str = with_effects!("BEGIN IMMEDIATE; ", "; COMMIT");
