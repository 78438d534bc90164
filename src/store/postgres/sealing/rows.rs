//! Reading the tables of the seal.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::tables;
use crate::event::{EventId, Timestamp};
use crate::store::postgres::error::DuringOperation as _;
use crate::store::postgres::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES};
use crate::store::{ForeignRow, StoreError, StoredCheckpoint, StoredLeaf, StoredNode, StoredSeed};

/// Returns the newest checkpoint.
pub(super) async fn newest_checkpoint(
    db: &mut PgConnection,
    names: &Identifiers,
) -> Result<Option<StoredCheckpoint>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(None);
    }
    let sql = format!("{} ORDER BY size DESC LIMIT 1", select_checkpoints(names));
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(db).await.during(DOING)?;
    row.as_ref().map(checkpoint_of).transpose()
}

/// Returns checkpoints of more than `after` leaves.
pub(super) async fn checkpoints(
    db: &mut PgConnection,
    names: &Identifiers,
    after: u64,
    at_most: usize,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("{} WHERE size > $1 ORDER BY size LIMIT $2", select_checkpoints(names));
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(number(after)).bind(limit(at_most)).fetch_all(db).await.during(DOING)?;
    rows.iter().map(checkpoint_of).collect()
}

fn select_checkpoints(names: &Identifiers) -> String {
    format!("SELECT size, note, sealed_at, position FROM {}", names.side_table(CHECKPOINTS))
}

fn checkpoint_of(row: &PgRow) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        size: row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned(),
        note: row.try_get(1).during(DOING)?,
        sealed_at: Timestamp::from_micros_clamped(row.try_get(2).during(DOING)?),
        position: row.try_get(3).during(DOING)?,
    })
}

/// Returns leaves from `first` on.
pub(super) async fn leaves(
    db: &mut PgConnection,
    names: &Identifiers,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredLeaf>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("{} WHERE n >= $1 ORDER BY n LIMIT $2", select_leaves(names));
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(number(first)).bind(limit(at_most)).fetch_all(db).await.during(DOING)?;
    rows.iter().map(leaf_of_row).collect()
}

/// Returns the leaf of an event.
pub(super) async fn leaf_of(
    db: &mut PgConnection,
    names: &Identifiers,
    id: EventId,
) -> Result<Option<StoredLeaf>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(None);
    }
    let sql = format!("{} WHERE event_id = $1 AND n >= 0", select_leaves(names));
    let row = sqlx::query(AssertSqlSafe(sql)).bind(Uuid::from(id)).fetch_optional(db).await.during(DOING)?;
    row.as_ref().map(leaf_of_row).transpose()
}

/// Returns the numbers of the leaves of these events.
pub(super) async fn leaf_indexes(
    db: &mut PgConnection,
    names: &Identifiers,
    ids: &[Uuid],
) -> Result<Vec<(EventId, u64)>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT event_id, n FROM {} WHERE event_id = ANY ($1) AND n >= 0", names.side_table(LEAVES));
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(db).await.during(DOING)?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get(0).during(DOING)?;
            Ok((id.into(), row.try_get::<i64, _>(1).during(DOING)?.cast_unsigned()))
        })
        .collect()
}

fn select_leaves(names: &Identifiers) -> String {
    format!("SELECT n, event_id, seed, hash FROM {}", names.side_table(LEAVES))
}

fn leaf_of_row(row: &PgRow) -> Result<StoredLeaf, StoreError> {
    Ok(StoredLeaf {
        index: row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned(),
        event_id: row.try_get::<Uuid, _>(1).during(DOING)?.into(),
        seed: StoredSeed::from_bytes(row.try_get(2).during(DOING)?),
        hash: bytes(row, 3)?,
    })
}

/// Returns leaves with numbers below 0. Ids are checked by their type.
pub(super) async fn foreign_rows(
    db: &mut PgConnection,
    names: &Identifiers,
    at_most: usize,
) -> Result<Vec<ForeignRow>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT n FROM {} WHERE n < 0 LIMIT $1", names.side_table(LEAVES));
    let numbers: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit(at_most)).fetch_all(db).await.during(DOING)?;
    Ok(numbers.into_iter().map(|number| ForeignRow::Leaf { number }).collect())
}

/// Returns nodes of a level from `first` on.
pub(super) async fn nodes(
    db: &mut PgConnection,
    names: &Identifiers,
    level: u8,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredNode>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql =
        format!("SELECT n, hash FROM {} WHERE level = $1 AND n >= $2 ORDER BY n LIMIT $3", names.side_table(NODES));
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(i16::from(level))
        .bind(number(first))
        .bind(limit(at_most))
        .fetch_all(db)
        .await
        .during(DOING)?;
    rows.iter()
        .map(|row| {
            let index = row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned();
            Ok(StoredNode { level, index, hash: bytes(row, 1)? })
        })
        .collect()
}

/// A value of another length is damage that a verifier names: it becomes zeros, which no hash is.
fn bytes(row: &PgRow, column: usize) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column).during(DOING)?;
    Ok(bytes.try_into().unwrap_or_default())
}

pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn limit(at_most: usize) -> i64 {
    i64::try_from(at_most).unwrap_or(i64::MAX)
}

const DOING: &str = "reading the seal";
