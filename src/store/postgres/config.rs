//! What a URL says: where the server is, and which tables of it are the log.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPool};

use super::error::config;
use super::names::Names;
use crate::event::limits::excerpt;
use crate::store::{Durability, OpenOptions, StoreError};

/// Where the server is, and who connects. With the password: never shown.
#[derive(Clone)]
enum Server {
    Url(Box<PgConnectOptions>),
    /// As this pool connects, each time it is asked.
    Pool(PgPool),
}

/// The table of the log in the database of a pool; `public.audit_events` unless told.
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresTable {
    schema: String,
    table: String,
}

impl Default for PostgresTable {
    fn default() -> Self {
        Self { schema: DEFAULT_SCHEMA.into(), table: DEFAULT_TABLE.into() }
    }
}

impl PostgresTable {
    /// In this schema, which is made if it is not there.
    pub fn in_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Under this name, of at most 40 bytes; the tables beside it begin with it.
    pub fn named(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }
}

/// How the store is opened.
#[derive(Clone)]
pub(super) struct Config {
    server: Server,
    pub(super) names: Names,
    pub(super) create: bool,
    pub(super) patience: Duration,
    pub(super) durability: Durability,
}

impl Config {
    /// Reads a whole URL. What it says beyond our own parameters is the driver's to understand.
    pub(super) fn parse(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut driver = format!("{place}?");
        let (mut schema, mut table) = (String::from(DEFAULT_SCHEMA), String::from(DEFAULT_TABLE));
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "schema" => schema = decoded(value)?,
                "table" => table = decoded(value)?,
                // The driver passes over what it does not know, and logs its value.
                _ if is_known_to_driver(name) => {
                    if FILES.contains(&name) {
                        look_for(name, &decoded(value)?)?;
                    }
                    driver.push_str(parameter);
                    driver.push('&');
                }
                _ => return Err(config(format!("{:?} is no parameter of `postgres://…`", excerpt(name)))),
            }
        }
        let names = Names::new(&schema, &table)?;
        let server = PgConnectOptions::from_str(&driver)
            .map_err(|error| config("the URL is malformed: expected `postgres://USER@HOST/DATABASE`").because(error))?;
        let OpenOptions { create, patience, durability } = options;
        Ok(Self { server: Server::Url(Box::new(server)), names, create, patience, durability })
    }

    /// The server of a pool.
    pub(super) fn of_pool(pool: &PgPool, table: &PostgresTable, options: OpenOptions) -> Result<Self, StoreError> {
        let names = Names::new(&table.schema, &table.table)?;
        let OpenOptions { create, patience, durability } = options;
        Ok(Self { server: Server::Pool(pool.clone()), names, create, patience, durability })
    }

    /// How to connect now.
    pub(super) fn server(&self) -> PgConnectOptions {
        let options = match &self.server {
            Server::Url(options) => options.as_ref().clone(),
            Server::Pool(pool) => pool.connect_options().as_ref().clone(),
        };
        // Statements have the events in them.
        options.disable_statement_logging()
    }
}

/// Without where the server is and who connects.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("names", &self.names).field("create", &self.create).finish_non_exhaustive()
    }
}

fn is_known_to_driver(name: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    KNOWN.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B")
}

/// Parameters that name a file, or are what would be in it.
const FILES: [&str; 7] = ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];

fn look_for(name: &str, path: &str) -> Result<(), StoreError> {
    if path.starts_with("-----BEGIN") {
        return Ok(());
    }
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| config(format!("the file that `{name}` names cannot be read")).because(error))
}

/// The value of a parameter, percent signs and all.
fn decoded(value: &str) -> Result<String, StoreError> {
    let wrong = || config("a percent sign in the value of a parameter must begin two hexadecimal digits of UTF-8");
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(wrong);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
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
        assert_eq!(parse("postgres://a@b/c").unwrap().names.table(), r#""public"."audit_events""#);
        let there = parse("postgresql://a@b/c?sslmode=require&schema=Au%22dit&table=log&application_name=x").unwrap();
        assert_eq!(there.names.table(), r#""Au""dit"."log""#);
        assert_eq!(there.server().get_application_name(), Some("x"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("postgres://a@b/c?shcema=x").unwrap_err().contains("shcema"));
        for url in ["postgres://a@b/c?schema=", "postgres://a@b/c?table=%0", "postgres://a@b/c?table=%00"] {
            parse(url).unwrap_err();
        }
        assert!(parse(&format!("postgres://a@b/c?table={}", "x".repeat(41))).unwrap_err().contains("40"));
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", parse("postgres://alice:hunter2@b/c").unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
        for url in ["postgres://me:hunter2@b:port/c", "postgres://me:hunter2@b/c?hunter2=hunter2&sslmode=hunter2"] {
            let error = parse(url).unwrap_err();
            assert!(url.contains("?hunter2") || !error.contains("hunter2"), "{error}");
        }
    }
}
