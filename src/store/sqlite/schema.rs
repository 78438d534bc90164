//! The tables, and which version of them a file has.
//!
//! Columns that a listing looks at come before the long text of a row: SQLite then reads no overflow page for them.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::connection::opening;
use super::error::{Doing as _, config};
use super::segment;
use crate::store::StoreError;

/// `PRAGMA application_id` of our files: "twau".
pub(super) const APPLICATION_ID: i32 = 0x7477_6175;
/// `PRAGMA user_version`: the version of the tables below.
pub(super) const VERSION: i32 = 1;

/// What a file is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A new or empty database.
    Empty,
    /// A log of this version.
    Ours,
}

/// Looks at the file without a change to it.
pub(super) async fn examine(db: &mut SqliteConnection) -> Result<Found, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), \
         (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(db)
    .await
    .map_err(opening)?;
    let id: i32 = row.try_get(0).doing(DOING)?;
    let version: i32 = row.try_get(1).doing(DOING)?;
    let tables: i64 = row.try_get(2).doing(DOING)?;
    match (id, version) {
        (0, 0) if tables == 0 => Ok(Found::Empty),
        (APPLICATION_ID, VERSION) => Ok(Found::Ours),
        (APPLICATION_ID, newer) if newer > VERSION => Err(config(format!(
            "the file has version {newer} of the tables and this program knows those up to {VERSION}: use a newer one"
        ))),
        (APPLICATION_ID, other) => Err(config(format!("version {other} of the tables does not exist"))),
        _ => Err(config("the file is a database of another application: choose another path")),
    }
}

/// Makes what is missing, in one transaction. Several may do it at once.
pub(super) async fn create(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await.doing(DOING)?;
    // Who had the lock before may have made it all, or something else.
    examine(db).await?;
    tables(db).await?;
    sqlx::query("COMMIT").execute(db).await.doing(DOING)?;
    Ok(())
}

/// Makes what is missing, inside of a transaction.
pub(super) async fn tables(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(format!(
        "{TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
    )))
    .persistent(false)
    .execute(&mut *db)
    .await
    .doing(DOING)?;
    for kept in segment::load(db).await? {
        if kept.state == segment::State::Open {
            segment::create(db, kept.n).await?;
        }
    }
    Ok(())
}

/// Drops every table, inside of a transaction, and says where the numbers of the journal must go on: they never go
/// back, so that another writer's guard notices even this.
pub(super) async fn drop_all(db: &mut SqliteConnection) -> Result<i64, StoreError> {
    let last: i64 =
        sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM journal").fetch_one(&mut *db).await.doing("init")?;
    for kept in segment::load(db).await? {
        segment::drop_table(db, kept.n).await?;
    }
    sqlx::query(
        "DROP TABLE journal; DROP TABLE segments; DROP TABLE open_started; DROP TABLE instances; DROP TABLE probe;",
    )
    .persistent(false)
    .execute(db)
    .await
    .doing("init")?;
    Ok(last)
}

const DOING: &str = "preparing the tables";

/// The first row of the journal holds no event. A journal always has a last row, and the mover leaves it.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS journal(
    seq INTEGER PRIMARY KEY, events_n INTEGER NOT NULL, min_at INTEGER NOT NULL, max_at INTEGER NOT NULL,
    min_id BLOB NOT NULL, max_id BLOB NOT NULL, events TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments(
    n INTEGER PRIMARY KEY, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
    min_id BLOB NOT NULL, max_id BLOB NOT NULL, events_n INTEGER NOT NULL, state INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS open_started(
    event_id BLOB PRIMARY KEY, instance BLOB NOT NULL, event TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instances(id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS probe(one INTEGER PRIMARY KEY CHECK (one = 1), times INTEGER NOT NULL);
INSERT INTO journal SELECT 1, 0, 0, 0, x'', x'', '[]' WHERE NOT EXISTS (SELECT 1 FROM journal);
";
