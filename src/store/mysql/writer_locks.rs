//! The lock of a writer: a named lock with its number, which the server releases when the session ends.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::config::Config;
use super::error::{DuringOperation as _, HAS_CHILDREN, from_driver, number};
use super::identifiers::{STARTED, WRITERS};
use super::session_driver::MysqlSessions;
use crate::store::StoreError;
use crate::store::sql::{LEAVING, REGISTERING, WriterLocks};

impl WriterLocks for MysqlSessions {
    async fn try_lock(db: &mut MySqlConnection, id: i64) -> Result<bool, StoreError> {
        let sql = format!("SELECT GET_LOCK({LOCK_NAME}, 0)");
        let locked: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_one(db).await.during(REGISTERING)?;
        Ok(locked == Some(1))
    }

    async fn unlock(db: &mut MySqlConnection, id: i64) -> Result<(), StoreError> {
        let sql = format!("SELECT RELEASE_LOCK({LOCK_NAME})");
        sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_all(db).await.during(REGISTERING).map(drop)
    }

    async fn insert_writer(db: &mut MySqlConnection, config: &Config, id: i64) -> Result<bool, StoreError> {
        let sql = format!("INSERT INTO {} (id) VALUES (?)", config.identifiers.side_table(WRITERS));
        match sqlx::query(AssertSqlSafe(sql)).bind(id).execute(db).await {
            Err(error) if number(&error) == super::error::DUPLICATE => Ok(false),
            inserted => inserted.during(REGISTERING).map(|inserted| inserted.rows_affected() == 1),
        }
    }

    async fn count_retaken(db: &mut MySqlConnection, config: &Config, id: i64) -> Result<bool, StoreError> {
        let sql = format!("UPDATE {} SET retaken = retaken + 1 WHERE id = ?", config.identifiers.side_table(WRITERS));
        let updated = sqlx::query(AssertSqlSafe(sql)).bind(id).execute(db).await.during(REGISTERING)?;
        Ok(updated.rows_affected() == 1)
    }

    async fn strike_off(db: &mut MySqlConnection, config: &Config, id: i64) -> Result<(), StoreError> {
        let writers = config.identifiers.side_table(WRITERS);
        let sql = format!("UPDATE {writers} SET has_left = 1 WHERE id = ?");
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(LEAVING)?;
        delete_writer(db, config, id, LEAVING).await.map(drop)
    }
}

/// Deletes a writer from the list; false if events of it are open.
pub(super) async fn delete_writer(
    db: &mut MySqlConnection,
    config: &Config,
    id: i64,
    doing: &'static str,
) -> Result<bool, StoreError> {
    let (writers, started) = (config.identifiers.side_table(WRITERS), config.identifiers.side_table(STARTED));
    let sql = format!("DELETE FROM {writers} WHERE id = ? AND NOT EXISTS (SELECT 1 FROM {started} WHERE writer = ?)");
    match sqlx::query(AssertSqlSafe(sql)).bind(id).bind(id).execute(db).await {
        Err(error) if number(&error) == HAS_CHILDREN => Ok(false),
        Err(error) => Err(from_driver(doing, error)),
        Ok(_) => Ok(true),
    }
}

/// The name of the lock of the writer with the number that is bound.
const LOCK_NAME: &str = "CONCAT('tower_audit.writer.', ?)";
/// A condition: the lock of the writer `w` is free.
pub(super) const IS_FREE: &str = "IS_FREE_LOCK(CONCAT('tower_audit.writer.', w.id)) = 1";
