//! The tables of the seal. A log that was never sealed has none of them.
//!
//! An account does not see a table to which it has no right: a purger that could not see the leaves would take a sealed log for one that was
//! never sealed. So the version's table, which every role reads, has a row that says that the tables were made.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use crate::store::mysql::error::{DuringOperation as _, NO_SUCH_TABLE, config, from_driver, number};
use crate::store::mysql::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES, REMOVALS, SEAL_TABLES, VERSION};
use crate::store::mysql::schema;
use crate::store::mysql::session::{marks, run};
use crate::store::{StoreError, StoreErrorKind};

/// Returns true if the database has the tables of leaves, nodes and checkpoints. An account that has no right to them is told so when it uses them.
pub(in crate::store::mysql) async fn exist(db: &mut MySqlConnection, names: &Identifiers) -> Result<bool, StoreError> {
    has(db, names, &ENDS).await
}

/// Returns true if the database has the table of signed removals.
pub(super) async fn has_removals(db: &mut MySqlConnection, names: &Identifiers) -> Result<bool, StoreError> {
    has(db, names, &[REMOVALS]).await
}

async fn has(db: &mut MySqlConnection, names: &Identifiers, ends: &[&str]) -> Result<bool, StoreError> {
    if visible(db, names, ends).await?.len() == ends.len() {
        return Ok(true);
    }
    if !are_made(db, names).await? {
        return Ok(false);
    }
    for end in ends {
        let sql = format!("SELECT 1 FROM {} LIMIT 0", names.side_table(end));
        match sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *db).await {
            // Somebody has dropped it.
            Err(error) if number(&error) == NO_SUCH_TABLE => return Ok(false),
            Err(error) => match from_driver(DOING, error) {
                // It was made, and this account has no right to it.
                error if error.kind() == StoreErrorKind::Denied => {}
                error => return Err(error),
            },
            Ok(_) => {}
        }
    }
    Ok(true)
}

/// Returns the missing tables of a log that was sealed: somebody has dropped them.
pub(in crate::store::mysql) async fn missing(
    db: &mut MySqlConnection,
    names: &Identifiers,
) -> Result<Vec<String>, StoreError> {
    let there = visible(db, names, &SEAL_TABLES).await?;
    if there.is_empty() && !are_made(db, names).await? {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for end in SEAL_TABLES.into_iter().filter(|end| !there.contains(&names.unquoted(end))) {
        let sql = format!("SELECT 1 FROM {} LIMIT 0", names.side_table(end));
        match sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *db).await {
            Err(error) if number(&error) == NO_SUCH_TABLE => missing.push(names.unquoted(end)),
            // It may be there: this account has no right to it.
            _ => {}
        }
    }
    Ok(missing)
}

/// Returns the names of those of the tables that the account sees.
async fn visible(db: &mut MySqlConnection, names: &Identifiers, ends: &[&str]) -> Result<Vec<String>, StoreError> {
    let sql = format!(
        "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({})",
        marks(ends.len())
    );
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(names.database());
    ends.iter().fold(query, |query, end| query.bind(names.unquoted(end))).fetch_all(db).await.during(DOING)
}

/// Returns true if the tables were made once.
async fn are_made(db: &mut MySqlConnection, names: &Identifiers) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE one = {SEALED})", names.side_table(VERSION));
    match sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(db).await {
        Ok(made) => Ok(made != 0),
        Err(error) if number(&error) == NO_SUCH_TABLE => Ok(false),
        Err(error) => match from_driver(DOING, error) {
            // An account that may not even read this appends and purges nothing.
            error if error.kind() == StoreErrorKind::Denied => Ok(false),
            error => Err(error),
        },
    }
}

/// Creates the missing tables.
pub(super) async fn create(db: &mut MySqlConnection, names: &Identifiers, is_mariadb: bool) -> Result<(), StoreError> {
    schema::lock(db, names).await?;
    let made = create_locked(db, names, is_mariadb).await;
    schema::unlock(db, names).await?;
    made
}

async fn create_locked(db: &mut MySqlConnection, names: &Identifiers, is_mariadb: bool) -> Result<(), StoreError> {
    let [leaves, nodes, checkpoints, removals] = SEAL_TABLES.map(|end| names.side_table(end));
    let options = schema::options(is_mariadb);
    let statements = [
        format!(
            "CREATE TABLE IF NOT EXISTS {leaves} (n BIGINT NOT NULL PRIMARY KEY, event_id BINARY(16) NOT NULL, \
             seed MEDIUMBLOB NOT NULL, hash BINARY(32) NOT NULL, UNIQUE KEY event (event_id)) {options}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {nodes} (level SMALLINT NOT NULL, n BIGINT NOT NULL, hash BINARY(32) NOT NULL, \
             PRIMARY KEY (level, n)) {options}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {checkpoints} (size BIGINT NOT NULL PRIMARY KEY, note MEDIUMTEXT NOT NULL, \
             sealed_at BIGINT NOT NULL, position VARCHAR(256) NOT NULL) {options}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {removals} (n BIGINT NOT NULL PRIMARY KEY, note MEDIUMTEXT NOT NULL) {options}"
        ),
        // Last: a row without the tables would be one of tables that somebody has dropped.
        format!("INSERT IGNORE INTO {} (one, version) VALUES ({SEALED}, 1)", names.side_table(VERSION)),
    ];
    for sql in statements {
        run(db, DOING, sql).await.map_err(|error| match error.kind() {
            StoreErrorKind::Denied => config(
                "the tables of the seal are missing, and this account may not make them: let the owner of the log run \
                 `tower-audit seal --once` first, and then `examples/mysql_seal_roles.sql`",
            )
            .with_source(error),
            _ => error,
        })?;
    }
    Ok(())
}

const ENDS: [&str; 3] = [LEAVES, NODES, CHECKPOINTS];
/// The row of the version's table that says that the tables were made.
const SEALED: i32 = 2;
const DOING: &str = "sealing";
