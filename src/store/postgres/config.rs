//! The configuration in a URL: the servers, and the tables of the log.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgPool;

use super::identifiers::Identifiers;
use super::servers::Servers;
use super::url::Url;
use crate::store::{Durability, OpenOptions, StoreError};

/// The table of the log in the database of a pool; `public.audit_events` unless told.
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresTable {
    schema: String,
    table: String,
    roles: Option<String>,
}

impl Default for PostgresTable {
    fn default() -> Self {
        Self { schema: DEFAULT_SCHEMA.into(), table: DEFAULT_TABLE.into(), roles: None }
    }
}

impl PostgresTable {
    /// In this schema, which is made if it is not there.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Under this name, of at most 40 bytes; the tables beside it begin with it.
    pub fn name(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// With roles whose names begin with this, of at most 54 bytes, instead of the names of database, schema and table:
    /// `{prefix}_appender`, `{prefix}_reader`, `{prefix}_purger`.
    pub fn with_roles(mut self, prefix: impl Into<String>) -> Self {
        self.roles = Some(prefix.into());
        self
    }
}

/// The configuration of a store.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) servers: Servers,
    pub(super) identifiers: Identifiers,
    pub(super) create_if_missing: bool,
    pub(super) timeout: Duration,
    pub(super) durability: Durability,
}

impl Config {
    /// Reads a whole URL.
    pub(super) fn parse(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let Url { schema, table, roles, target, servers } = Url::parse(url)?;
        let place = PostgresTable {
            schema: schema.unwrap_or_else(|| DEFAULT_SCHEMA.into()),
            table: table.unwrap_or_else(|| DEFAULT_TABLE.into()),
            roles,
        };
        Self::new(Servers::of(servers, target), &place, options)
    }

    /// The server of a pool.
    pub(super) fn of_pool(pool: &PgPool, table: &PostgresTable, options: OpenOptions) -> Result<Self, StoreError> {
        Self::new(Servers::Pool(pool.clone()), table, options)
    }

    fn new(servers: Servers, place: &PostgresTable, options: OpenOptions) -> Result<Self, StoreError> {
        let names = Identifiers::new(&place.schema, &place.table, place.roles.as_deref())?;
        let OpenOptions { create_if_missing: create, timeout, durability } = options;
        Ok(Self { servers, identifiers: names, create_if_missing: create, timeout, durability })
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

const DEFAULT_SCHEMA: &str = "public";
const DEFAULT_TABLE: &str = "audit_events";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Config, String> {
        Config::parse(url, OpenOptions::default()).map_err(|error| format!("{error} {error:?}"))
    }

    #[test]
    fn the_log_may_be_anywhere() {
        assert_eq!(parse("postgres://a@b/c").unwrap().identifiers.table(), r#""public"."audit_events""#);
        let there = parse("postgresql://a@b/c?sslmode=require&schema=Au%22dit&table=log&application_name=x").unwrap();
        assert_eq!(there.identifiers.table(), r#""Au""dit"."log""#);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for url in [
            "postgres://a@b/c?schema=",
            "postgres://a@b/c?table=%0",
            "postgres://a@b/c?table=%00",
            "postgres://a@b/c?roles=",
        ] {
            parse(url).unwrap_err();
        }
        assert!(parse(&format!("postgres://a@b/c?table={}", "x".repeat(41))).unwrap_err().contains("40"));
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", parse("postgres://alice:hunter2@b/c").unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
    }
}
