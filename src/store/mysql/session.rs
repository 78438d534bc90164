//! Statements of a session, and every setting that could change what a statement means.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySql, MySqlArguments, MySqlConnection};

use super::error::{DuringOperation as _, MISSING, config};
use crate::event::EventId;
use crate::store::sql::SessionKind;
use crate::store::{StoreError, StoreErrorKind};

/// A statement and its values.
pub(super) type MysqlQuery<'q> = sqlx::query::Query<'q, MySql, MySqlArguments>;

/// Statements of our own making, values bound elsewhere.
pub(super) async fn run(db: &mut MySqlConnection, doing: &'static str, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.during(doing).map(drop)
}

/// As many parameters, with commas between them.
pub(super) fn marks(count: usize) -> String {
    vec!["?"; count].join(",")
}

/// Binds ids as the server keeps them.
pub(super) fn bind_ids<'q>(query: MysqlQuery<'q>, ids: &[EventId]) -> MysqlQuery<'q> {
    ids.iter().fold(query, |query, id| query.bind(id.to_bytes().to_vec()))
}

/// Defaults of the server or of the account must not reach the log. A writer has no time limit of the server's for a statement:
/// a wait for a lock ends early enough for the caller to be told.
pub(super) fn settings(kind: SessionKind, timeout: Duration, is_mariadb: bool) -> String {
    let access = if kind == SessionKind::Read { "READ ONLY" } else { "READ WRITE" };
    let lock_seconds = match kind {
        SessionKind::Append => seconds(timeout / 4 * 3),
        SessionKind::Admin => seconds(timeout.min(ADMIN_LOCK_TIMEOUT)),
        SessionKind::Read | SessionKind::Lock | SessionKind::Observe { .. } => seconds(timeout),
    };
    let limit = match kind {
        SessionKind::Read => LONGEST_READ_SECONDS,
        SessionKind::Observe { .. } => seconds(timeout),
        SessionKind::Append | SessionKind::Admin | SessionKind::Lock => 0,
    };
    let limit = if is_mariadb {
        format!("max_statement_time = {limit}")
    } else {
        format!("max_execution_time = {}", limit * 1000)
    };
    format!(
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
         SESSION time_zone = '+00:00', SESSION autocommit = 1, SESSION foreign_key_checks = 1, SESSION unique_checks = 1, \
         SESSION sql_safe_updates = 0, SESSION sql_select_limit = 18446744073709551615, \
         SESSION innodb_lock_wait_timeout = {lock_seconds}, SESSION lock_wait_timeout = {lock_seconds}, \
         SESSION wait_timeout = {IDLE_SECONDS}, SESSION {limit}; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}"
    )
}

/// Whole seconds, as the settings of the server are given; never 0, which would be no limit or no wait.
fn seconds(limit: Duration) -> u64 {
    limit.as_secs().max(1)
}

/// A statement that needs the rights of an owner.
pub(super) async fn execute(db: &mut MySqlConnection, sql: String) -> Result<(), StoreError> {
    run(db, "preparing the tables", sql).await.map_err(|error| match error.kind() {
        StoreErrorKind::Denied => config(MISSING).with_source(error),
        _ => error,
    })
}

/// The number of ids in one statement.
pub(super) const IDS_AT_ONCE: usize = 1000;
/// The timeout of a reader's statement.
const LONGEST_READ_SECONDS: u64 = 600;
/// Changes of the tables give way to transactions in time: whoever wants the table queues behind them.
const ADMIN_LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// The server closes a session that is idle for longer.
const IDLE_SECONDS: u32 = 28_800;
