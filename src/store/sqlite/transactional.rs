//! An event in a transaction of the app's own, which must be one of the file that holds the log.
//!
//! It becomes a journal row, as a batch of one does; the guard of the log's next append then finds the new row and reads it.
//! SQLite has one writer at a time. So a second append of the same event waits for the app's transaction:
//!
//! - t0: the app's transaction inserts event E.
//! - t1: the log appends E as well, and waits for the write lock.
//! - t2, committed: the append finds E and inserts nothing. t2, rolled back: the append inserts E.

use std::path::Path;
use std::sync::atomic::Ordering;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::error::{DuringOperation as _, NAME, discarded, is_plain_error};
use super::file_key::file_key;
use super::id_blob::id_bytes;
use super::journal::append::journal_columns;
use super::journal::journal_row::JournalRow;
use super::read::reader::get;
use super::schema::{TEMPORARY_TRIGGERS, check_no_obstacles, temporary_triggers_error};
use super::store::SqliteStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{
    AppConnection, StoreError, StoreErrorKind, StoreFuture, TransactionId, TransactionStatus, Transactional,
};

impl Transactional for SqliteStore {
    fn prepare<'a>(&'a self, connection: AppConnection<'a>) -> StoreFuture<'a, TransactionId> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            if !db.is_in_transaction() {
                return Err(rejected_error("the connection is not in a transaction: begin one with sqlx"));
            }
            match sqlx::query(TAKE_WRITE_LOCK).execute(&mut *db).await {
                Err(error) if is_plain_error(&error) => {
                    // A connection that cannot read a log that was removed knows the tables that it saw before.
                    self.check_files()?;
                    return Err(other_database_error().with_source(error));
                }
                locked => locked.during(DOING)?,
            };
            let sql = format!("{SELECT_DATABASE}, {TEMPORARY_TRIGGERS}");
            let (file, synchronous, journal, schema, temporary): (String, i64, String, i64, Option<String>) =
                sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *db).await.during(DOING)?;
            let here = file_key(&self.config.path)?;
            if here.is_none() || file_key(Path::new(&file))? != here {
                return Err(other_database_error());
            }
            self.check_files()?;
            if synchronous < FULL || journal != "wal" {
                return Err(rejected_error(format!(
                    "the connection has synchronous={synchronous} and journal_mode={journal}, so its commit would not \
                     be durable: open the pool with SqliteSynchronous::Full and without a journal mode of its own"
                )));
            }
            // The lock is held: no trigger can come before the end of the transaction, but from the app's own statements.
            if let Some(names) = temporary {
                return Err(temporary_triggers_error(names));
            }
            if schema != self.checked_schema.load(Ordering::Relaxed) {
                check_no_obstacles(db).await?;
                self.checked_schema.store(schema, Ordering::Relaxed);
            }
            // One number for all: the lock tells transactions apart.
            Ok(TransactionId(0))
        })
    }

    fn insert<'a>(
        &'a self,
        connection: AppConnection<'a>,
        event: &'a AuditEvent,
        is_new: bool,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            if !is_new && get(db, event.event_id).await?.is_some() {
                return Ok(false);
            }
            let batch = JournalRow::of(&[event]).during(DOING)?;
            let result = sqlx::query(INSERT_ROW)
                .bind(batch.min_at)
                .bind(id_bytes(batch.min_id()))
                .bind(batch.events)
                .execute(&mut *db)
                .await
                .during(DOING)?;
            if result.rows_affected() != 1 {
                return Err(discarded(DOING));
            }
            if let Some(started) = event.request.started_event_id {
                sqlx::query(DELETE_STARTED).bind(id_bytes(started.as_u128())).execute(db).await.during(DOING)?;
            }
            self.transactional_events.fetch_add(1, Ordering::Relaxed);
            Ok(true)
        })
    }

    /// Returns `Committed` if the event is visible. If not, an append decides: it waits for the lock.
    fn status(&self, event: EventId, _transaction: TransactionId) -> StoreFuture<'_, TransactionStatus> {
        Box::pin(async move {
            let mut lease = self.status_readers.take(&self.config).await?;
            let result = exists(lease.db(), event).await;
            let is_kept = self.status_readers.finish(lease, result).await?;
            Ok(if is_kept { TransactionStatus::Committed } else { TransactionStatus::Absent })
        })
    }
}

async fn exists(db: &mut SqliteConnection, id: EventId) -> Result<bool, StoreError> {
    let is_recent: bool =
        sqlx::query_scalar(SELECT_RECENT).bind(id_bytes(id.as_u128())).fetch_one(&mut *db).await.during(DOING)?;
    Ok(is_recent || get(db, id).await?.is_some())
}

fn of_this_kind(connection: AppConnection<'_>) -> Result<&mut SqliteConnection, StoreError> {
    match connection {
        AppConnection::Sqlite(db) => Ok(db),
        #[allow(unreachable_patterns, reason = "the only kind, in some builds")]
        _ => Err(rejected_error("the transaction is one of another database system than the log's")),
    }
}

fn other_database_error() -> StoreError {
    rejected_error(
        "the transaction is one of another database: an effect and its event can be kept together only where the log \
         is in the app's own file (SqliteStore::from_pool)",
    )
}

fn rejected_error(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, DOING).with_hint(remedy)
}

const DOING: &str = "recording in a transaction";
const FULL: i64 = 2;

/// Takes the write lock without a change. A transaction that reads first and asks for the lock later is refused it if
/// another has written in between, instead of waiting. A database without a log has no such table.
const TAKE_WRITE_LOCK: &str = "UPDATE main.audit_probe SET times = times WHERE false";

const SELECT_DATABASE: &str = "SELECT (SELECT file FROM pragma_database_list WHERE name = 'main'), \
    (SELECT synchronous FROM pragma_synchronous), (SELECT journal_mode FROM pragma_journal_mode), \
    (SELECT schema_version FROM pragma_schema_version)";

/// The row after the last: the lock is the transaction's from here on.
const INSERT_ROW: &str = concat!(
    "INSERT INTO main.audit_journal",
    journal_columns!(),
    // An emptied journal goes on from the clock, as in an append.
    "SELECT coalesce(max(seq) + 1, CAST(unixepoch('subsec') * 1000000 AS INTEGER)), 1, ?1, ?1, ?2, ?2, ?3 \
    FROM main.audit_journal"
);

const DELETE_STARTED: &str = "DELETE FROM main.audit_started WHERE event_id = ?1";

/// Returns true if the event is one of the last 64 rows: scanning the whole journal takes longer.
const SELECT_RECENT: &str = "SELECT EXISTS (SELECT 1 FROM \
    (SELECT min_id, max_id FROM audit_journal ORDER BY seq DESC LIMIT 64) WHERE min_id = ?1 AND max_id = ?1)";
