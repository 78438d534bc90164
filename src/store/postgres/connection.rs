//! One session with the server, with every setting that could change what a statement means set explicitly.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::durability::Facts;
use super::error::{Doing as _, of, transient};
use super::schema;
use crate::store::StoreError;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Appends: durable or not at all, on tables of this version.
    Append,
    /// Reads, and can do nothing else.
    Read,
    /// Makes, looks after and removes.
    Keep,
}

/// Connects, within the patience that one attempt deserves.
pub(super) async fn connect(config: &Config, purpose: Purpose) -> Result<PgConnection, StoreError> {
    let within = config.patience.min(LONGEST_CONNECT);
    match tokio::time::timeout(within, set_up(config, purpose)).await {
        Ok(connected) => connected,
        Err(_) => Err(transient(CONNECTING).with_remedy("the server did not answer in time")),
    }
}

async fn set_up(config: &Config, purpose: Purpose) -> Result<PgConnection, StoreError> {
    let within = config.patience.min(LONGEST_CONNECT);
    let mut db = config.servers.connect(within, purpose != Purpose::Read, CONNECTING).await?;
    let read_only = if purpose == Purpose::Read { "on" } else { "off" };
    // A plan for any value passes over partial indexes and takes no notice of how rare a value is.
    let plans = if purpose == Purpose::Read { "force_custom_plan" } else { "auto" };
    run(&mut db, CONNECTING, settings(read_only, plans)).await?;
    match purpose {
        Purpose::Append => {
            schema::require(&mut db, &config.names).await?;
            make_durable(&mut db, config).await?;
        }
        Purpose::Read => schema::require_to_read(&mut db, &config.names).await?,
        Purpose::Keep => {}
    }
    Ok(db)
}

/// Sets what a commit of this session means, and reads back all that it depends on.
async fn make_durable(db: &mut PgConnection, config: &Config) -> Result<(), StoreError> {
    let found = Facts::ask(db, &config.names, CONNECTING).await?;
    let set = format!("SET synchronous_commit = {}", found.commit_to_set(config.durability));
    sqlx::query(AssertSqlSafe(set)).persistent(false).execute(&mut *db).await.doing(CONNECTING)?;
    Facts::ask(db, &config.names, CONNECTING).await?.judge(config.durability, CONNECTING)
}

/// An answer within the patience, or none: a connection whose other end has vanished would keep its caller for a
/// quarter of an hour. The future is dropped then, and with it the connection that it has leased.
pub(super) async fn within<T>(
    patience: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(transient(doing).with_remedy("the server did not answer in time")),
    }
}

/// A statement of our own making, values bound elsewhere.
pub(super) async fn run(db: &mut PgConnection, doing: &'static str, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.map_err(|error| of(doing, error))?;
    Ok(())
}

pub(super) const CONNECTING: &str = "connecting";
const LONGEST_CONNECT: Duration = Duration::from_secs(3);

/// Defaults of the role, of the database or of the URL must not reach the log. Of these settings, a server takes those
/// that it knows. The first statement has no operator and no function in it that another schema could have, too.
///
/// No statement of a writer is ever cancelled by the server: a commit that waits for a replica would then count as
/// done without it.
fn settings(read_only: &str, plans: &str) -> String {
    format!(
        "SET statement_timeout = 0; SET search_path = pg_catalog, pg_temp; \
         SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES \
         ('client_encoding', 'UTF8'), ('TimeZone', 'UTC'), ('standard_conforming_strings', 'on'), \
         ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'), \
         ('default_transaction_read_only', '{read_only}'), ('plan_cache_mode', '{plans}'), ('row_security', 'on'), \
         ('lock_timeout', '0'), ('transaction_timeout', '0'), \
         ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0') \
         ) AS v(name, value) JOIN pg_catalog.pg_settings s ON s.name = v.name WHERE s.setting IS DISTINCT FROM v.value"
    )
}
