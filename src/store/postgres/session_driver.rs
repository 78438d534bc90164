//! The sessions of a log with PostgreSQL.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::{self, DuringOperation as _, permanent};
use super::grants::Right;
use super::interfering_objects;
use super::privileges::explained;
use super::schema;
use super::session::settings;
use crate::store::StoreError;
use crate::store::sql::{self, CONNECTING, SessionDriver, SessionKind, Sight, Wait, connect_timeout};

/// The driver of the sessions.
#[derive(Debug)]
pub(super) enum PgSessions {}

pub(super) type Pool = sql::Pool<PgSessions>;
pub(super) type SessionObserver = sql::SessionObserver<PgSessions>;
pub(super) type WriterLease = sql::WriterLease<PgSessions>;
type Session = sql::Session<PgSessions>;

/// The process of the server that serves a session. The number may be another's later, with another start.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pid: i32,
    started: String,
}

impl SessionDriver for PgSessions {
    const NAME: &'static str = error::NAME;
    type Connection = PgConnection;
    type Config = Config;
    type Backend = Backend;

    fn timeout(config: &Config) -> Duration {
        config.timeout
    }

    /// Dropped before its end, the server has no session that could do anything.
    async fn establish(config: &Config, kind: SessionKind) -> Result<Session, StoreError> {
        let within = connect_timeout(config.timeout);
        let mut db = config.servers.connect(within, is_of_primary(kind), CONNECTING).await?;
        let sql = settings(kind, config.timeout);
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut db).await.during(CONNECTING)?;
        let row = rows.last().ok_or_else(|| permanent(CONNECTING))?;
        let backend = Backend { pid: row.try_get(0).during(CONNECTING)?, started: row.try_get(1).during(CONNECTING)? };
        Ok(Session { db, backend })
    }

    /// Finds the tables as this program knows them, and makes sure that commits mean what they should.
    async fn prepare(db: &mut PgConnection, config: &Config, kind: SessionKind) -> Result<(), StoreError> {
        let names = &config.identifiers;
        match kind {
            SessionKind::Append => {
                let required = schema::require(db, names).await;
                explained(db, names, Right::Append, required).await?;
                interfering_objects::refuse_side_effects(db, names, config.durability, CONNECTING).await?;
                make_durable(db, config).await
            }
            SessionKind::Read => {
                let required = schema::require_to_read(db, names).await;
                explained(db, names, Right::Read, required).await
            }
            SessionKind::Admin | SessionKind::Lock | SessionKind::Observe { .. } => Ok(()),
        }
    }

    async fn answer(db: &mut PgConnection, _was_dropped: bool) -> bool {
        for _ in 0..MOST_ANSWERS {
            // In a statement that is a transaction of its own, both are equal.
            let asked =
                sqlx::raw_sql("SELECT pg_catalog.now() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp()");
            let is_free = match asked.fetch_all(&mut *db).await {
                Ok(rows) => rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(false),
                // The error of the abandoned statement, or of a transaction that has failed.
                Err(sqlx::Error::Database(refused)) => {
                    if refused.code().as_deref() != Some(FAILED_TRANSACTION) {
                        continue;
                    }
                    false
                }
                Err(_) => return false,
            };
            if is_free {
                return true;
            }
            match sqlx::raw_sql("ROLLBACK").execute(&mut *db).await {
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(_) => return false,
            }
        }
        false
    }

    async fn look(db: &mut PgConnection, backend: &Backend, kind: SessionKind) -> Result<Sight, StoreError> {
        let row = sqlx::query_as::<_, (bool, bool, bool)>(LOOK)
            .bind(backend.pid)
            .bind(&backend.started)
            .bind(kind == SessionKind::Append)
            .fetch_optional(db)
            .await
            .during("looking at a session")?;
        Ok(match row {
            None => Sight::Gone,
            Some((true, ..)) => Sight::There(Wait::Replica),
            Some((_, true, _)) => Sight::There(Wait::Lock),
            Some(_) => Sight::There(Wait::Other),
        })
    }

    fn leaves_session_usable(error: &StoreError) -> bool {
        error::leaves_session_usable(error)
    }

    fn reason(wait: Wait) -> &'static str {
        match wait {
            Wait::Replica => {
                "commits wait for a replica that does not confirm them: bring it back, or change \
                 `synchronous_standby_names`"
            }
            Wait::Lock => "another session holds a lock on a table of the log: `pg_blocking_pids` names it",
            Wait::Other => "the server does not answer: see what its sessions do in `pg_stat_activity`",
        }
    }
}

/// Returns true if only the primary may serve the session. Readers and observers of readers may use a standby.
fn is_of_primary(kind: SessionKind) -> bool {
    !matches!(kind, SessionKind::Read | SessionKind::Observe { readers: true })
}

/// Sets what a commit of this session means, and reads back all that it depends on.
async fn make_durable(db: &mut PgConnection, config: &Config) -> Result<(), StoreError> {
    let found = DurabilitySettings::ask(db, &config.identifiers, CONNECTING).await?;
    let set = format!("SET synchronous_commit = {}", found.commit_to_set(config.durability));
    sqlx::query(AssertSqlSafe(set)).persistent(false).execute(&mut *db).await.during(CONNECTING)?;
    DurabilitySettings::ask(db, &config.identifiers, CONNECTING).await?.check(config.durability, CONNECTING)
}

/// The session is picked before anything is done to it: no other can be struck.
const LOOK: &str = "WITH given_up AS MATERIALIZED (\
        SELECT pid, state, wait_event, wait_event_type FROM pg_catalog.pg_stat_activity \
        WHERE pid = $1 AND backend_start::text = $2) \
    SELECT coalesce(wait_event = 'SyncRep', false), coalesce(wait_event_type = 'Lock', false), CASE \
        WHEN wait_event = 'SyncRep' THEN false \
        WHEN state LIKE 'idle%' THEN pg_catalog.pg_terminate_backend(pid) \
        WHEN $3 THEN false \
        ELSE pg_catalog.pg_cancel_backend(pid) END \
    FROM given_up";
/// The errors of the abandoned statements, a ROLLBACK, and some to spare.
const MOST_ANSWERS: usize = 8;
/// SQLSTATE `in_failed_sql_transaction`.
const FAILED_TRANSACTION: &str = "25P02";
