//! Signed removals, and the seeds of removed events.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::{rows, tables};
use crate::event::EventId;
use crate::store::mysql::error::{DUPLICATE, DuringOperation as _, from_driver, number, permanent};
use crate::store::mysql::identifiers::{Identifiers, LEAVES, REMOVALS};
use crate::store::mysql::session::{bind_ids, marks};
use crate::store::{StoreError, StoredRemoval};

/// Returns removals from `first` on.
pub(super) async fn read(
    db: &mut MySqlConnection,
    names: &Identifiers,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredRemoval>, StoreError> {
    if !tables::has_removals(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT n, note FROM {} WHERE n >= ? ORDER BY n LIMIT ?", names.side_table(REMOVALS));
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(rows::number_of(first))
        .bind(rows::limit(at_most))
        .fetch_all(db)
        .await
        .during(READING)?;
    found
        .iter()
        .map(|row| {
            let number: i64 = row.try_get(0).during(READING)?;
            Ok(StoredRemoval { number: number.cast_unsigned(), note: row.try_get(1).during(READING)? })
        })
        .collect()
}

/// Stores a removal, unless its number is taken.
pub(super) async fn add(
    db: &mut MySqlConnection,
    names: &Identifiers,
    is_mariadb: bool,
    at: u64,
    note: &str,
) -> Result<bool, StoreError> {
    if !tables::has_removals(db, names).await? {
        tables::create(db, names, is_mariadb).await?;
    }
    let sql = format!("INSERT INTO {}(n, note) VALUES (?, ?)", names.side_table(REMOVALS));
    match sqlx::query(AssertSqlSafe(sql)).bind(rows::number_of(at)).bind(note).execute(db).await {
        Ok(done) if done.rows_affected() == 1 => Ok(true),
        Ok(_) => Err(permanent(DOING).with_hint("a trigger on a table of the seal discards rows; drop it")),
        Err(error) if number(&error) == DUPLICATE => Ok(false),
        Err(error) => Err(from_driver(DOING, error)),
    }
}

/// Deletes the seeds of events, inside the transaction that deletes these.
pub(in crate::store::mysql) async fn delete_seeds(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
) -> Result<(), StoreError> {
    let sql = format!("UPDATE {} SET seed = '' WHERE event_id IN ({})", names.side_table(LEAVES), marks(ids.len()));
    bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), ids).execute(db).await.during(DOING).map(drop)
}

const READING: &str = "reading the seal";
const DOING: &str = "purge";
