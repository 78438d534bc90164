//! Signed removals.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::{rows, tables};
use crate::store::postgres::error::{DuringOperation as _, UNIQUE_VIOLATION, from_driver, has_code, permanent};
use crate::store::postgres::identifiers::{Identifiers, REMOVALS};
use crate::store::{StoreError, StoredRemoval};

/// Returns removals from `first` on.
pub(super) async fn read(
    db: &mut PgConnection,
    names: &Identifiers,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredRemoval>, StoreError> {
    if !tables::has_removals(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT n, note FROM {} WHERE n >= $1 ORDER BY n LIMIT $2", names.side_table(REMOVALS));
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(rows::number(first))
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
    db: &mut PgConnection,
    names: &Identifiers,
    number: u64,
    note: &str,
) -> Result<bool, StoreError> {
    if !tables::has_removals(db, names).await? {
        tables::create(db, names).await?;
    }
    let sql = format!("INSERT INTO {}(n, note) VALUES ($1, $2)", names.side_table(REMOVALS));
    match sqlx::query(AssertSqlSafe(sql)).bind(rows::number(number)).bind(note).execute(&mut *db).await {
        Ok(done) if done.rows_affected() == 1 => Ok(true),
        Ok(_) => Err(permanent(DOING).with_hint("a trigger or a rule on a table of the seal discards rows; drop it")),
        Err(error) if has_code(&error, UNIQUE_VIOLATION) => Ok(false),
        Err(error) => Err(from_driver(DOING, error)),
    }
}

const READING: &str = "reading the seal";
const DOING: &str = "purge";
