//! An event in a transaction of the app's own, which must be one of the file that holds the log.
//!
//! It becomes a row of the journal, like a batch of one: whoever appends next finds that another has appended, and
//! reads what. SQLite has one writer at a time, so whoever else appends an event that an open transaction holds waits
//! for the lock, and then sees it or knows that it will not come.

use std::path::Path;
use std::sync::atomic::Ordering;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::append::journal_columns;
use super::batch::Batch;
use super::error::{Doing as _, NAME, discarded, is_plain_error};
use super::identity::file_id;
use super::read::get;
use super::segment::id_bytes;
use super::store::SqliteStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{AppConnection, Fate, InTransaction, StoreError, StoreErrorKind, StoreFuture, TransactionId};

impl InTransaction for SqliteStore {
    fn enlist<'a>(&'a self, connection: AppConnection<'a>) -> StoreFuture<'a, TransactionId> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            if !db.is_in_transaction() {
                return Err(refused("the connection is in no transaction: begin one with sqlx"));
            }
            match sqlx::query(LOCK).execute(&mut *db).await {
                Err(error) if is_plain_error(&error) => return Err(elsewhere().because(error)),
                locked => locked.doing(DOING)?,
            };
            let (file, synchronous, journal): (String, i64, String) =
                sqlx::query_as(ASK).fetch_one(db).await.doing(DOING)?;
            let here = file_id(&self.config.path)?;
            if here.is_none() || file_id(Path::new(&file))? != here {
                return Err(elsewhere());
            }
            if synchronous < FULL || journal != "wal" {
                return Err(refused(format!(
                    "the connection has synchronous={synchronous} and journal_mode={journal}, so its commit would not \
                     be durable: open the pool with SqliteSynchronous::Full and without a journal mode of its own"
                )));
            }
            // One number for all: the lock tells transactions apart.
            Ok(TransactionId(0))
        })
    }

    fn keep<'a>(&'a self, connection: AppConnection<'a>, event: &'a AuditEvent, is_new: bool) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            if !is_new && get(db, event.event_id).await?.is_some() {
                return Ok(false);
            }
            let batch = Batch::of(&[event]).doing(DOING)?;
            let done = sqlx::query(KEEP)
                .bind(batch.min_at)
                .bind(id_bytes(batch.min_id()))
                .bind(batch.events)
                .execute(&mut *db)
                .await
                .doing(DOING)?;
            if done.rows_affected() != 1 {
                return Err(discarded(DOING));
            }
            if let Some(started) = event.request.started_event_id {
                sqlx::query(END).bind(id_bytes(started.as_u128())).execute(db).await.doing(DOING)?;
            }
            self.elsewhere.fetch_add(1, Ordering::Relaxed);
            Ok(true)
        })
    }

    /// Whether the event can be seen. If not, an append decides: it takes the lock.
    fn fate(&self, event: EventId, _transaction: TransactionId) -> StoreFuture<'_, Fate> {
        Box::pin(async move {
            let mut lease = self.askers.take(&self.config).await?;
            let done = is_kept(lease.db(), event).await;
            let is_kept = self.askers.finish(lease, done).await?;
            Ok(if is_kept { Fate::Kept } else { Fate::Gone })
        })
    }
}

async fn is_kept(db: &mut SqliteConnection, id: EventId) -> Result<bool, StoreError> {
    let is_recent: bool =
        sqlx::query_scalar(IS_RECENT).bind(id_bytes(id.as_u128())).fetch_one(&mut *db).await.doing(DOING)?;
    Ok(is_recent || get(db, id).await?.is_some())
}

fn of_this_kind(connection: AppConnection<'_>) -> Result<&mut SqliteConnection, StoreError> {
    match connection {
        AppConnection::Sqlite(db) => Ok(db),
        #[allow(unreachable_patterns, reason = "the only kind, in some builds")]
        _ => Err(refused("the transaction is one of another database system than the log's")),
    }
}

fn elsewhere() -> StoreError {
    refused(
        "the transaction is one of another database: an effect and its event can be kept together only where the log \
         is in the app's own file (SqliteStore::from_pool)",
    )
}

fn refused(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, DOING).with_remedy(remedy)
}

const DOING: &str = "recording in a transaction";
const FULL: i64 = 2;

/// Changes nothing, and takes the lock for writing: a transaction that has read before it asks for the lock is refused it
/// when somebody else has written meanwhile, instead of waiting for its turn. Where there is no log, there is no such
/// table.
const LOCK: &str = "UPDATE main.audit_probe SET times = times WHERE false";

const ASK: &str = "SELECT (SELECT file FROM pragma_database_list WHERE name = 'main'), \
    (SELECT synchronous FROM pragma_synchronous), (SELECT journal_mode FROM pragma_journal_mode)";

/// The row after the last: the lock is the transaction's from here on.
const KEEP: &str = concat!(
    "INSERT INTO main.audit_journal",
    journal_columns!(),
    // An emptied journal goes on from the clock, as in an append.
    "SELECT coalesce(max(seq) + 1, CAST(unixepoch('subsec') * 1000000 AS INTEGER)), 1, ?1, ?1, ?2, ?2, ?3 \
    FROM main.audit_journal"
);

const END: &str = "DELETE FROM main.audit_open_started WHERE event_id = ?1";

/// Whether the event is a row of its own among the last ones: looking through the whole journal takes longer.
const IS_RECENT: &str = "SELECT EXISTS (SELECT 1 FROM \
    (SELECT min_id, max_id FROM audit_journal ORDER BY seq DESC LIMIT 64) WHERE min_id = ?1 AND max_id = ?1)";
