//! An event in a transaction of the app's own, which must be one of the database that holds the log.
//!
//! The transaction is known again by its number, so that its fate can be asked for without waiting for it: an append of
//! an event that an open transaction holds would keep everybody in its batch waiting.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use uuid::Uuid;

use super::column_arrays::bind_one;
use super::error::{DuringOperation as _, NAME};
use super::grants::Right;
use super::identifiers::{Identifiers, STARTED};
use super::interfering_objects;
use super::privileges::Access;
use super::store::PostgresStore;
use super::table_identity::{SELECT_LOCATION, TableIdentity};
use crate::event::{AuditEvent, EventId};
use crate::store::{
    AppConnection, StoreError, StoreErrorKind, StoreFuture, TransactionId, TransactionStatus, Transactional,
};

impl Transactional for PostgresStore {
    fn prepare<'a>(&'a self, connection: AppConnection<'a>) -> StoreFuture<'a, TransactionId> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            if !db.is_in_transaction() {
                return Err(rejected_error("the connection is not in a transaction: begin one with sqlx"));
            }
            let names = &self.config.identifiers;
            let sql = format!("SELECT {SELECT_TRANSACTION}, {SELECT_LOCATION}");
            let row = sqlx::query(AssertSqlSafe(sql))
                .bind(names.schema())
                .bind(names.unquoted(""))
                .bind(names.unquoted(STARTED))
                .fetch_one(&mut *db)
                .await
                .during(DOING)?;
            let theirs = TableIdentity::of(&row).during(DOING)?;
            let Some(number) = row.try_get::<Option<i64>, _>("number").during(DOING)? else {
                return Err(rejected_error("the transaction is read-only, or one of a standby"));
            };
            if !self.is_same_table(theirs).await? {
                return Err(rejected_error(
                    "the transaction is one of another database: an effect and its event can be kept together only \
                     where the log is in the app's own database (PostgresStore::from_pool)",
                ));
            }
            if row.try_get::<Option<bool>, _>("may").during(DOING)? != Some(true) {
                let (problem, remedy) = Access::of(db, names, Right::Append).await?.problem();
                return Err(rejected_error(format!("in this transaction {problem}: {remedy}")));
            }
            Ok(TransactionId(number.cast_unsigned()))
        })
    }

    fn insert<'a>(&'a self, connection: AppConnection<'a>, event: &'a AuditEvent, _new: bool) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let db = of_this_kind(connection)?;
            let ended = event.request.started_event_id.map(Uuid::from);
            let query =
                bind_one(sqlx::query(AssertSqlSafe(self.statements.insert_in_transaction.clone())), event).bind(ended);
            let kept: i64 = query.fetch_one(&mut *db).await.during(DOING)?.try_get(0).during(DOING)?;
            if kept == 0 {
                interfering_objects::refuse_side_effects(db, &self.config.identifiers, self.config.durability, DOING)
                    .await?;
            }
            Ok(kept == 1)
        })
    }

    fn status(&self, event: EventId, transaction: TransactionId) -> StoreFuture<'_, TransactionStatus> {
        Box::pin(self.status_sessions.within(self.config.timeout, STATUS_OPERATION, async move {
            let mut lease = self.status_sessions.lease(&self.config, STATUS_OPERATION).await?;
            let result = fate(&mut lease.db, &self.config.identifiers, event, transaction).await;
            lease.finish(result)
        }))
    }
}

impl PostgresStore {
    /// Returns true if this is the log's table. If it differs from the known location, that is asked for again: the server
    /// may have been restarted, or the tables recreated.
    async fn is_same_table(&self, place: TableIdentity) -> Result<bool, StoreError> {
        if *self.place() == Some(place) {
            return Ok(true);
        }
        let names = &self.config.identifiers;
        let mut lease = self.status_sessions.lease(&self.config, STATUS_OPERATION).await?;
        let result = async {
            let row = sqlx::query(AssertSqlSafe(format!("SELECT {SELECT_LOCATION}")))
                .bind(names.schema())
                .bind(names.unquoted(""))
                .bind(names.unquoted(STARTED))
                .fetch_one(&mut *lease.db)
                .await
                .during(STATUS_OPERATION)?;
            TableIdentity::of(&row).during(STATUS_OPERATION)
        };
        let result = result.await;
        let ours = lease.finish(result)?;
        *self.place() = Some(ours);
        Ok(ours == place && ours.table.is_some())
    }
}

/// Looks for the event, then at the transaction, then for the event again. For example:
/// - t0: the event is not there. t1: the transaction commits. t2: it is no longer in progress. t3: the event is there.
async fn fate(
    db: &mut PgConnection,
    names: &Identifiers,
    event: EventId,
    transaction: TransactionId,
) -> Result<TransactionStatus, StoreError> {
    if exists(db, names, event).await? {
        return Ok(TransactionStatus::Committed);
    }
    // Null for a transaction so old that the server has forgotten it.
    let status: Option<String> =
        sqlx::query_scalar("SELECT pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8)")
            .bind(transaction.0.to_string())
            .fetch_one(&mut *db)
            .await
            .during(STATUS_OPERATION)?;
    if status.as_deref() == Some("in progress") {
        return Ok(TransactionStatus::InProgress);
    }
    Ok(if exists(db, names, event).await? { TransactionStatus::Committed } else { TransactionStatus::Absent })
}

async fn exists(db: &mut PgConnection, names: &Identifiers, event: EventId) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE event_id = $1)", names.table());
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(Uuid::from(event)).fetch_one(db).await.during(STATUS_OPERATION)
}

fn of_this_kind(connection: AppConnection<'_>) -> Result<&mut PgConnection, StoreError> {
    match connection {
        AppConnection::Postgres(db) => Ok(db),
        #[allow(unreachable_patterns, reason = "the only kind, in some builds")]
        _ => Err(rejected_error("the transaction belongs to another database system than the log")),
    }
}

fn rejected_error(remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, DOING).with_hint(remedy)
}

/// The number of the transaction, or none if it can write nothing; whether its role may keep an event; and, until its
/// end, a commit that is durable.
const SELECT_TRANSACTION: &str = "CASE WHEN pg_catalog.pg_is_in_recovery() OR \
        pg_catalog.current_setting('transaction_read_only') = 'on' THEN NULL \
        ELSE pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8 END AS number, \
    pg_catalog.has_table_privilege(e.oid, 'INSERT') AND pg_catalog.has_table_privilege(o.oid, 'DELETE') AS may, \
    pg_catalog.set_config('synchronous_commit', \
        CASE pg_catalog.current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)";

const DOING: &str = "recording in a transaction";
const STATUS_OPERATION: &str = "asking for the end of a transaction";
