//! An event in a transaction of the app's own, which must be one of the server that holds the log.
//!
//! Nothing asks for the number of a transaction without more rights than an app has. So a transaction that holds an event is
//! recognised by its lock on the row of the event: who asks for that row without waiting is refused while the transaction is
//! open.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::append::{EventRow, delete_started, insert_one};
use super::durability::DurabilitySettings;
use super::error::{DUPLICATE, DuringOperation as _, LOCK_WAIT, NAME, from_driver, number};
use super::identifiers::Identifiers;
use super::server_identity::ServerIdentity;
use super::store::MysqlStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{
    AppConnection, Durability, StoreError, StoreErrorKind, StoreFuture, TransactionId, TransactionStatus, Transactional,
};

impl Transactional for MysqlStore {
    fn prepare<'a>(&'a self, connection: AppConnection<'a>) -> StoreFuture<'a, TransactionId> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            if !db.is_in_transaction() {
                return Err(rejected_error("the connection is not in a transaction: begin one with sqlx"));
            }
            let theirs = ServerIdentity::of(db, DOING).await?;
            if !self.is_same_server(&theirs).await? {
                return Err(rejected_error(
                    "the transaction is one of another database: an effect and its event can be kept together only \
                     where the log is on the app's own server (MysqlStore::from_pool)",
                ));
            }
            if let Some(charset) = theirs.other_charset() {
                return Err(rejected_error(format!(
                    "the connection has the character set {charset}, which has no place for every text: use utf8mb4"
                )));
            }
            let facts = DurabilitySettings::ask_server(db, DOING).await?;
            if self.config.durability == Durability::Required {
                facts.check_durable(DOING)?;
            }
            // One number for all: the lock of the row tells transactions apart.
            Ok(TransactionId(0))
        })
    }

    fn insert<'a>(&'a self, connection: AppConnection<'a>, event: &'a AuditEvent, _new: bool) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            let names = &self.config.identifiers;
            // A refused statement leaves the transaction as it was.
            match insert_one(db, names, &EventRow::of(event)?).await {
                Err(error) if number(&error) == DUPLICATE => return Ok(false),
                Err(error) => return Err(from_driver(DOING, error)),
                Ok(()) => {}
            }
            if let Some(started) = event.request.started_event_id {
                delete_started(db, names, &[started]).await.during(DOING)?;
            }
            Ok(true)
        })
    }

    fn status(&self, event: EventId, _transaction: TransactionId) -> StoreFuture<'_, TransactionStatus> {
        Box::pin(self.status_sessions.within(self.config.timeout, STATUS_OPERATION, async move {
            let mut lease = self.status_sessions.lease(&self.config, STATUS_OPERATION).await?;
            let is_mariadb = self.config.facts.is_mariadb();
            let result = fate(&mut lease.db, &self.config.identifiers, event, is_mariadb).await;
            lease.finish(result)
        }))
    }
}

impl MysqlStore {
    /// Returns true if the log is on this server. If it differs from the known one, that is asked for again: the server may
    /// have been given another name.
    async fn is_same_server(&self, theirs: &ServerIdentity) -> Result<bool, StoreError> {
        if self.known_server().as_ref().is_some_and(|ours| ours.is_same(theirs)) {
            return Ok(true);
        }
        let mut lease = self.status_sessions.lease(&self.config, STATUS_OPERATION).await?;
        let asked = ServerIdentity::of(&mut lease.db, STATUS_OPERATION).await;
        let ours = lease.finish(asked)?;
        let is_same = ours.is_same(theirs);
        *self.known_server() = Some(ours);
        Ok(is_same)
    }
}

/// Looks for the event, then for its lock, then for the event again. For example:
/// - t0: the event is not there. t1: the transaction commits. t2: no lock is in the way, and the event is there.
async fn fate(
    db: &mut MySqlConnection,
    names: &Identifiers,
    event: EventId,
    is_mariadb: bool,
) -> Result<TransactionStatus, StoreError> {
    if exists(db, names, event, "").await.during(STATUS_OPERATION)? {
        return Ok(TransactionStatus::Committed);
    }
    let shared = if is_mariadb { "LOCK IN SHARE MODE NOWAIT" } else { "FOR SHARE NOWAIT" };
    match exists(db, names, event, shared).await {
        Ok(true) => Ok(TransactionStatus::Committed),
        Ok(false) => Ok(TransactionStatus::Absent),
        Err(error) if matches!(number(&error), LOCK_WAIT | LOCK_NOWAIT) => Ok(TransactionStatus::InProgress),
        Err(error) => Err(from_driver(STATUS_OPERATION, error)),
    }
}

async fn exists(
    db: &mut MySqlConnection,
    names: &Identifiers,
    event: EventId,
    lock: &str,
) -> Result<bool, sqlx::Error> {
    let sql = format!("SELECT 1 FROM {} WHERE event_id = ? {lock}", names.table());
    let id = event.to_bytes().to_vec();
    Ok(!sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_all(db).await?.is_empty())
}

fn of_this_kind(connection: AppConnection<'_>) -> Result<&mut MySqlConnection, StoreError> {
    match connection {
        AppConnection::MySql(db) => Ok(db),
        #[allow(unreachable_patterns, reason = "the only kind, in some builds")]
        _ => Err(rejected_error("the transaction belongs to another database system than the log")),
    }
}

fn rejected_error(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, DOING).with_hint(remedy)
}

const DOING: &str = "recording in a transaction";
const STATUS_OPERATION: &str = "asking for the end of a transaction";
/// MySQL's answer where MariaDB's is that of a lock that was waited for.
const LOCK_NOWAIT: u16 = 3572;
