//! Signed removals, and the seeds of removed events.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::{rows, tables};
use crate::event::EventId;
use crate::store::sqlite::error::{DuringOperation as _, discarded};
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};
use crate::store::{StoreError, StoredRemoval};

/// Returns removals from `first` on.
pub(super) async fn read(
    db: &mut SqliteConnection,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredRemoval>, StoreError> {
    if !tables::has_removals(db).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT n, CAST(note AS BLOB) FROM audit_removals WHERE n >= ?1 ORDER BY n LIMIT ?2";
    let found = sqlx::query(sql)
        .bind(rows::number(first))
        .bind(rows::limit(at_most))
        .fetch_all(db)
        .await
        .during("reading the seal")?;
    found
        .iter()
        .map(|row| {
            let number: i64 = row.try_get(0).during("reading the seal")?;
            Ok(StoredRemoval { number: number.cast_unsigned(), note: rows::text(row, 1)? })
        })
        .collect()
}

/// Stores a removal, unless its number is taken.
pub(super) async fn add(state: &mut WriterState, number: u64, note: &str) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.refresh().await?;
    if !tables::has_removals(&mut transaction.connection.db).await? {
        tables::create(&mut transaction.connection.db).await?;
        transaction.refresh_schema().await?;
    }
    let db = &mut transaction.connection.db;
    let is_taken: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_removals WHERE n = ?1)")
        .bind(rows::number(number))
        .fetch_one(&mut **db)
        .await
        .during(DOING)?;
    if is_taken {
        transaction.roll_back().await?;
        return Ok(false);
    }
    let sql = "INSERT INTO audit_removals(n, note) VALUES (?1, ?2)";
    let done = sqlx::query(sql).bind(rows::number(number)).bind(note).execute(&mut **db).await.during(DOING)?;
    if done.rows_affected() != 1 {
        return Err(discarded(DOING));
    }
    transaction.commit().await?;
    Ok(true)
}

/// Deletes the seeds of events, inside the transaction that deletes these.
pub(crate) async fn delete_seeds(db: &mut SqliteConnection, ids: &[EventId]) -> Result<(), StoreError> {
    if ids.is_empty() || !tables::exist(db).await? {
        return Ok(());
    }
    let sql = "UPDATE audit_leaves SET seed = x'' WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))";
    sqlx::query(sql).bind(serde_json::to_string(ids).during(DOING)?).execute(db).await.during(DOING)?;
    Ok(())
}

const DOING: &str = "purge";
