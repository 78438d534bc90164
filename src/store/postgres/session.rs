//! Statements of a session, and every setting that could change what a statement means.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, PgConnection, Postgres};

use super::error::{NAME, from_driver, permanent};
use crate::store::StoreError;
use crate::store::sql::{self, SessionKind};

/// A statement and its values.
pub(super) type PgQuery<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// Waits for the work until the timeout; see [`sql::within_timeout`].
pub(super) async fn within_timeout<T>(
    timeout: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    sql::within_timeout(NAME, timeout, doing, work).await
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
pub(super) fn settings(purpose: SessionKind, timeout: Duration) -> String {
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
