//! The configuration in a URL: the server, and the tables of the log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::DuringOperation as _;
use super::identifiers::Identifiers;
use super::server_facts::ServerFacts;
use super::url::Url;
use crate::store::{Durability, OpenOptions, StoreError};

/// The table of the log on the server of a pool; `audit_events` in the pool's database unless told.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MysqlTable {
    database: Option<String>,
    table: Option<String>,
}

impl MysqlTable {
    /// In this database of the server, which must be there.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Under this name, of at most 40 characters; the tables beside it begin with it.
    pub fn name(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }
}

/// The configuration of a store.
#[derive(Clone)]
pub(super) struct Config {
    server: Server,
    pub(super) identifiers: Identifiers,
    pub(super) create_if_missing: bool,
    pub(super) timeout: Duration,
    pub(super) durability: Durability,
    /// The facts about the server, once a session has asked for them.
    pub(super) facts: Arc<ServerFacts>,
}

/// The server, with the password: never shown.
#[derive(Clone)]
enum Server {
    Url(Arc<MySqlConnectOptions>),
    /// As this pool connects, each time it is asked.
    Pool(MySqlPool),
}

impl Config {
    /// Reads a whole URL.
    pub(super) fn parse(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let Url { database, table, options: server } = Url::parse(url)?;
        let names = Identifiers::new(&database, table.as_deref().unwrap_or(DEFAULT_TABLE))?;
        Ok(Self::new(Server::Url(Arc::new(server)), names, options))
    }

    /// The server of a pool.
    pub(super) fn of_pool(pool: &MySqlPool, table: &MysqlTable, options: OpenOptions) -> Result<Self, StoreError> {
        let connects = pool.connect_options();
        let database = table.database.as_deref().or(connects.get_database()).unwrap_or_default();
        let names = Identifiers::new(database, table.table.as_deref().unwrap_or(DEFAULT_TABLE))?;
        Ok(Self::new(Server::Pool(pool.clone()), names, options))
    }

    fn new(server: Server, identifiers: Identifiers, options: OpenOptions) -> Self {
        let OpenOptions { create_if_missing, timeout, durability } = options;
        Self { server, identifiers, create_if_missing, timeout, durability, facts: Arc::default() }
    }

    /// Connects. The driver's own settings are left out: the log makes all of them.
    pub(super) async fn connect(&self, doing: &'static str) -> Result<MySqlConnection, StoreError> {
        let options = match &self.server {
            Server::Url(options) => options.as_ref().clone(),
            Server::Pool(pool) => pool.connect_options().as_ref().clone(),
        };
        // Statements have the events in them.
        let options = options.disable_statement_logging().pipes_as_concat(false).no_engine_substitution(false);
        MySqlConnection::connect_with(&options.timezone(None).charset("utf8mb4").set_names(true)).await.during(doing)
    }
}

/// Without where the server is and who connects.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("names", &self.identifiers)
            .field("create", &self.create_if_missing)
            .finish_non_exhaustive()
    }
}

const DEFAULT_TABLE: &str = "audit_events";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Config, String> {
        Config::parse(url, OpenOptions::default()).map_err(|error| format!("{error} {error:?}"))
    }

    #[test]
    fn the_log_may_be_anywhere() {
        assert_eq!(parse("mysql://a@b/c").unwrap().identifiers.table(), "`c`.`audit_events`");
        let there = parse("mariadb://a@b/c?ssl-mode=required&table=Au%60dit").unwrap();
        assert_eq!(there.identifiers.table(), "`c`.`Au``dit`");
        for url in ["mysql://a@b/c?table=", "mysql://a@b/c?table=%00", "mysql://a@b/c?table=%0"] {
            parse(url).unwrap_err();
        }
        assert!(parse(&format!("mysql://a@b/c?table={}", "x".repeat(41))).unwrap_err().contains("40"));
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", parse("mysql://alice:hunter2@b/c").unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
    }
}
