//! The lock of a writer: an advisory lock of its number.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::error::DuringOperation as _;
use super::identifiers::{STARTED, WRITERS};
use super::session_driver::PgSessions;
use crate::store::StoreError;
use crate::store::sql::{LEAVING, REGISTERING, WriterLocks};

impl WriterLocks for PgSessions {
    async fn try_lock(db: &mut PgConnection, id: i64) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)")
            .bind(id)
            .fetch_one(db)
            .await
            .during(REGISTERING)
    }

    async fn unlock(db: &mut PgConnection, id: i64) -> Result<(), StoreError> {
        let unlocked = sqlx::query("SELECT pg_catalog.pg_advisory_unlock($1)").bind(id).execute(db).await;
        unlocked.during(REGISTERING).map(drop)
    }

    async fn insert_writer(db: &mut PgConnection, config: &Config, id: i64) -> Result<bool, StoreError> {
        let writers = config.identifiers.side_table(WRITERS);
        let sql = format!("INSERT INTO {writers} (id) VALUES ($1) ON CONFLICT DO NOTHING");
        let result = sqlx::query(AssertSqlSafe(sql)).bind(id).execute(db).await.during(REGISTERING)?;
        Ok(result.rows_affected() == 1)
    }

    async fn count_retaken(db: &mut PgConnection, config: &Config, id: i64) -> Result<bool, StoreError> {
        let sql = format!("UPDATE {} SET retaken = retaken + 1 WHERE id = $1", config.identifiers.side_table(WRITERS));
        let result = sqlx::query(AssertSqlSafe(sql)).bind(id).execute(db).await.during(REGISTERING)?;
        Ok(result.rows_affected() == 1)
    }

    async fn strike_off(db: &mut PgConnection, config: &Config, id: i64) -> Result<(), StoreError> {
        let (writers, started) = (config.identifiers.side_table(WRITERS), config.identifiers.side_table(STARTED));
        let sql = format!("UPDATE {writers} SET has_left = true WHERE id = $1");
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(LEAVING)?;
        let sql =
            format!("DELETE FROM {writers} WHERE id = $1 AND NOT EXISTS (SELECT FROM {started} WHERE writer = $1)");
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(LEAVING)?;
        Ok(())
    }
}

/// A condition: the lock of the writer `w` is free. A lock by one 64-bit number is listed in halves.
pub(super) const IS_FREE: &str = "NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 \
    AND l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
    AND ((l.classid::int8 << 32) | l.objid::int8) = w.id)";
