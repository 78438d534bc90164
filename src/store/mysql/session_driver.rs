//! The sessions of a log with MariaDB or MySQL.

use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::{self, DuringOperation as _, number, permanent};
use super::schema;
use super::session::{run, settings};
use crate::store::StoreError;
use crate::store::sql::{self, CONNECTING, SessionDriver, SessionKind, Sight, Wait};

/// The driver of the sessions.
#[derive(Debug)]
pub(super) enum MysqlSessions {}

pub(super) type Pool = sql::Pool<MysqlSessions>;
pub(super) type SessionObserver = sql::SessionObserver<MysqlSessions>;
pub(super) type WriterLease = sql::WriterLease<MysqlSessions>;
type Session = sql::Session<MysqlSessions>;

/// The session by its number. The number may be another's after a restart of the server, from another port.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    id: u64,
    host: String,
}

impl SessionDriver for MysqlSessions {
    const NAME: &'static str = error::NAME;
    type Connection = MySqlConnection;
    type Config = Config;
    type Backend = Backend;

    fn timeout(config: &Config) -> Duration {
        config.timeout
    }

    /// Dropped before its end, the server has no session that could do anything.
    async fn establish(config: &Config, kind: SessionKind) -> Result<Session, StoreError> {
        let mut db = config.connect(CONNECTING).await?;
        let asked = sqlx::raw_sql(SELECT_SESSION).fetch_all(&mut db).await.during(CONNECTING)?;
        let row = asked.first().ok_or_else(|| permanent(CONNECTING))?;
        let read = || -> Result<(String, u64, Backend), sqlx::Error> {
            let backend = Backend { id: row.try_get::<u64, _>(2)?, host: row.try_get(3)? };
            Ok((row.try_get(0)?, row.try_get(1)?, backend))
        };
        let (version, max_packet, backend) = read().during(CONNECTING)?;
        config.facts.note(&version, max_packet)?;
        let sql = settings(kind, config.timeout, config.facts.is_mariadb());
        run(&mut db, CONNECTING, sql).await?;
        Ok(Session { db, backend })
    }

    async fn prepare(db: &mut MySqlConnection, config: &Config, kind: SessionKind) -> Result<(), StoreError> {
        match kind {
            SessionKind::Append => {
                schema::require(db, &config.identifiers).await?;
                DurabilitySettings::ask(db, &config.identifiers, CONNECTING).await?.check(config.durability, CONNECTING)
            }
            SessionKind::Read => schema::require_to_read(db, &config.identifiers).await,
            SessionKind::Admin | SessionKind::Lock | SessionKind::Observe { .. } => Ok(()),
        }
    }

    /// A statement that was dropped while it was being prepared leaves answers that the driver takes for those of a later
    /// one. So such a session is never used again: the server is asked about it, and ends it once it is idle.
    async fn answer(db: &mut MySqlConnection, was_dropped: bool) -> bool {
        if was_dropped {
            return match db.ping().await {
                Err(sqlx::Error::Io(_)) => false,
                _ => std::future::pending().await,
            };
        }
        sqlx::raw_sql("ROLLBACK").execute(db).await.is_ok()
    }

    async fn look(db: &mut MySqlConnection, backend: &Backend, kind: SessionKind) -> Result<Sight, StoreError> {
        let found: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT CAST(COMMAND AS CHAR), CAST(STATE AS CHAR) FROM information_schema.PROCESSLIST WHERE ID = ? AND HOST = ?",
        )
        .bind(backend.id)
        .bind(&backend.host)
        .fetch_optional(&mut *db)
        .await
        .during(LOOKING)?;
        let Some((command, state)) = found else { return Ok(Sight::Gone) };
        let state = state.unwrap_or_default();
        if state.contains("semi-sync") {
            // Committed, and left alone.
            return Ok(Sight::There(Wait::Replica));
        }
        // An idle session has said all that it will say. What is not an append may be cancelled at any time.
        let sql = match command.as_str() {
            "Sleep" => Some(format!("KILL {}", backend.id)),
            _ if kind == SessionKind::Append => None,
            _ => Some(format!("KILL QUERY {}", backend.id)),
        };
        if let Some(sql) = sql {
            match sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await {
                Err(error) if number(&error) == NO_SUCH_THREAD => return Ok(Sight::Gone),
                killed => killed.during(LOOKING)?,
            };
        }
        Ok(Sight::There(if state.contains("lock") { Wait::Lock } else { Wait::Other }))
    }

    fn leaves_session_usable(error: &StoreError) -> bool {
        error::leaves_session_usable(error)
    }

    fn reason(wait: Wait) -> &'static str {
        match wait {
            Wait::Replica => "commits wait for a semi-synchronous replica that does not confirm them: bring it back",
            Wait::Lock => "another session holds a lock on a table of the log: `SHOW PROCESSLIST` shows it",
            Wait::Other => "the server does not answer: see what its sessions do in `SHOW PROCESSLIST`",
        }
    }
}

/// The session by the server's words; one over a socket has no port.
const SELECT_SESSION: &str = "SELECT CAST(VERSION() AS CHAR), @@max_allowed_packet, \
    CAST(CONNECTION_ID() AS UNSIGNED), \
    (SELECT CAST(HOST AS CHAR) FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID())";
const LOOKING: &str = "looking at a session";
const NO_SUCH_THREAD: u16 = 1094;
