//! One session with the server, with every setting that could change what a statement means set explicitly.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::{Instant, timeout_at};

use super::config::Config;
use super::error::{DuringOperation as _, from_driver, permanent, transient};
use crate::store::StoreError;

/// The purpose of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionKind {
    /// Appends: durable or not at all, on tables of this version.
    Append,
    /// Reads, and can do nothing else.
    Read,
    /// Makes, looks after and removes.
    Admin,
    /// Holds the writer's advisory lock.
    Lock,
    /// Looks at the other sessions of the log: at those of readers, or at the others.
    Observe { readers: bool },
}

impl SessionKind {
    /// Returns true if only the primary may serve it. Readers and observers of readers may use a standby.
    fn is_of_primary(self) -> bool {
        !matches!(self, Self::Read | Self::Observe { readers: true })
    }
}

/// A statement and its values.
pub(super) type PgQuery<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// A session, and the number by which the server knows it.
pub(super) struct Session {
    pub(super) db: PgConnection,
    pub(super) backend: Backend,
}

/// The process of the server that serves a session. The number may be another's later, with another start.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pub(super) pid: i32,
    pub(super) started: String,
}

impl Session {
    /// Connects and sets what every session has. Dropped before its end, the server has no session that could do
    /// anything.
    pub(super) async fn establish(config: &Config, purpose: SessionKind) -> Result<Self, StoreError> {
        let within = connect_within(config);
        let mut db = config.servers.connect(within, purpose.is_of_primary(), CONNECTING).await?;
        let sql = settings(purpose, config.timeout);
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut db).await.during(CONNECTING)?;
        let row = rows.last().ok_or_else(|| permanent(CONNECTING))?;
        let backend = Backend { pid: row.try_get(0).during(CONNECTING)?, started: row.try_get(1).during(CONNECTING)? };
        Ok(Self { db, backend })
    }
}

/// The end of an attempt to connect that begins now.
pub(super) fn connect_until(config: &Config) -> Instant {
    Instant::now() + connect_within(config)
}

/// The timeout of an attempt to connect: 3 s, or a quarter of a long timeout. A caller with a shorter timeout stops waiting
/// earlier.
fn connect_within(config: &Config) -> Duration {
    config.timeout.clamp(MIN_CONNECT_TIMEOUT, CONNECT_TIMEOUT).max(config.timeout / 4)
}

/// A part of an attempt to connect.
pub(super) async fn answered_until<T>(
    until: Instant,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout_at(until, work).await.unwrap_or_else(|_| Err(unanswered(CONNECTING)))
}

/// Waits for the work until the timeout: a connection whose other end has vanished would keep its caller for a
/// quarter of an hour. The future is dropped then; the session that it has leased has an owner all the same
/// (`abandoned.rs`).
pub(super) async fn within_timeout<T>(
    timeout: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(unanswered(doing)))
}

pub(super) fn unanswered(doing: &'static str) -> StoreError {
    transient(doing).with_hint("the server did not answer in time")
}

/// A statement of our own making, values bound elsewhere.
pub(super) async fn run(db: &mut PgConnection, doing: &'static str, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map_err(|error| from_driver(doing, error))?;
    Ok(())
}

/// The only row of a statement that changes something, all of whose answer was read.
///
/// The driver's `fetch_one` is content with the row. It may arrive before the server has committed, and a commit that
/// fails would then pass for done.
pub(super) fn only<T>(rows: Vec<T>, doing: &'static str) -> Result<T, StoreError> {
    rows.into_iter().next().ok_or_else(|| permanent(doing).with_hint("the server answered without a row"))
}

/// Milliseconds, as a setting of the server takes them; never 0, which would be no limit.
pub(super) fn millis(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1)
}

pub(super) const CONNECTING: &str = "connecting";
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of a reader's statement.
const LONGEST_READ: Duration = Duration::from_secs(600);

/// Defaults of the role, of the database or of the URL must not reach the log. Of these settings, a server takes those
/// that it knows. The first statement has no operator and no function in it that another schema could have, too. The
/// last row says which process of the server this is.
///
/// No statement of a writer is cancelled by the server for its time: a commit that waits for a replica would then count
/// as done without it. A wait for a lock comes before the commit and may end, early enough for the caller to be told.
///
/// The sockets are the driver's and have no keepalive, so the server is told to look after its end: a session whose
/// client has vanished ends within a minute, and one that is only idle is not forgotten by a firewall. What an operator
/// has set of that stays. Only Linux can tell everywhere that a client has gone in the midst of a statement.
fn settings(purpose: SessionKind, timeout: Duration) -> String {
    let read_only = if purpose == SessionKind::Read { "on" } else { "off" };
    // A plan for any value passes over partial indexes and takes no notice of how rare a value is.
    let plans = if purpose == SessionKind::Read { "force_custom_plan" } else { "auto" };
    // Row security would hide events from a listing or a purge. With `off` the server refuses the statement instead.
    let row_security = if matches!(purpose, SessionKind::Read | SessionKind::Admin) { "off" } else { "on" };
    let (lock, statement) = match purpose {
        SessionKind::Append => (millis(timeout / 4 * 3), 0),
        SessionKind::Read => (millis(timeout), millis(LONGEST_READ)),
        SessionKind::Admin => (0, 0),
        SessionKind::Lock | SessionKind::Observe { .. } => (millis(timeout), 0),
    };
    format!(
        "SET statement_timeout = 0; SET search_path = pg_catalog, pg_temp; \
         SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES \
         ('client_encoding', 'UTF8'), ('TimeZone', 'UTC'), ('standard_conforming_strings', 'on'), ('quote_all_identifiers', 'off'), \
         ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'), \
         ('default_transaction_read_only', '{read_only}'), ('plan_cache_mode', '{plans}'), ('row_security', '{row_security}'), \
         ('lock_timeout', '{lock}'), ('statement_timeout', '{statement}'), ('transaction_timeout', '0'), \
         ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0') \
         ) AS v(name, value) JOIN pg_catalog.pg_show_all_settings() s ON s.name = v.name WHERE s.setting IS DISTINCT FROM v.value; \
         SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES \
         ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'), \
         ('tcp_user_timeout', '30000'), ('client_connection_check_interval', '1000') \
         ) AS v(name, value) JOIN pg_catalog.pg_show_all_settings() s ON s.name = v.name WHERE s.source = 'default' \
         AND (s.name <> 'client_connection_check_interval' OR pg_catalog.version() LIKE '%linux%'); \
         SELECT pid, backend_start::text FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"
    )
}
