//! The tables of the seal. A log that was never sealed has none of them.

use sqlx::sqlite::SqliteConnection;

use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;

/// Returns true if the file has the tables.
pub(crate) async fn exist(db: &mut SqliteConnection) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('audit_leaves', 'audit_nodes', 'audit_checkpoints')";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(db).await.during(DOING)?;
    Ok(tables == 3)
}

/// Returns true if the file has the table of signed removals, which logs of earlier versions lack.
pub(super) async fn has_removals(db: &mut SqliteConnection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit_removals')";
    sqlx::query_scalar(sql).fetch_one(db).await.during(DOING)
}

/// Returns the missing tables of a log that has others of them: somebody has dropped them.
pub(crate) async fn missing(db: &mut SqliteConnection) -> Result<Vec<&'static str>, StoreError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('audit_leaves', 'audit_nodes', 'audit_checkpoints', 'audit_removals')";
    let there: Vec<String> = sqlx::query_scalar(sql).fetch_all(db).await.during(DOING)?;
    let missing = NAMES.into_iter().filter(|name| !there.iter().any(|there| there == name));
    Ok(if there.is_empty() { Vec::new() } else { missing.collect() })
}

/// Creates the missing tables inside a transaction.
pub(super) async fn create(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(TABLES).persistent(false).execute(db).await.during(DOING)?;
    Ok(())
}

/// Drops the tables inside a transaction.
pub(crate) async fn drop_all(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let sql = "DROP TABLE IF EXISTS audit_leaves; DROP TABLE IF EXISTS audit_nodes; DROP TABLE IF EXISTS audit_checkpoints; \
         DROP TABLE IF EXISTS audit_removals;";
    sqlx::query(sql).persistent(false).execute(db).await.during("init")?;
    Ok(())
}

const NAMES: [&str; 4] = ["audit_leaves", "audit_nodes", "audit_checkpoints", "audit_removals"];
const DOING: &str = "sealing";

/// A leaf takes 88 bytes of its row and 20 of the index.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS audit_leaves(
    n INTEGER PRIMARY KEY, event_id BLOB NOT NULL, seed BLOB NOT NULL, hash BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS audit_leaves_id ON audit_leaves(event_id);
CREATE TABLE IF NOT EXISTS audit_nodes(
    level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_checkpoints(
    size INTEGER PRIMARY KEY, note TEXT NOT NULL, sealed_at INTEGER NOT NULL, position TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit_removals(n INTEGER PRIMARY KEY, note TEXT NOT NULL);
";
