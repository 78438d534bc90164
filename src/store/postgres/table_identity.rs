//! The identity of a log's table among all servers and databases.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::timestamptz::Timestamptz;

/// The identity of a log's table: the start of its server, and the numbers of the database and of the table there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableIdentity {
    started: i64,
    database: i64,
    pub(super) table: Option<i64>,
}

impl TableIdentity {
    pub(super) fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Timestamptz(started) = row.try_get("started")?;
        Ok(Self { started: started.as_micros(), database: row.try_get("database")?, table: row.try_get("events")? })
    }
}

/// Takes the names of the schema, the table and the table of open events.
pub(super) const SELECT_LOCATION: &str = "pg_catalog.pg_postmaster_start_time() AS started, d.oid::pg_catalog.int8 AS database, \
    e.oid::pg_catalog.int8 AS events FROM pg_catalog.pg_database d \
    LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1 \
    LEFT JOIN pg_catalog.pg_class e ON e.relnamespace = n.oid AND e.relname = $2 \
    LEFT JOIN pg_catalog.pg_class o ON o.relnamespace = n.oid AND o.relname = $3 \
    WHERE d.datname = pg_catalog.current_database()";
