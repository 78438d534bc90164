//! Reading the tables of the seal.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::tables;
use crate::event::{EventId, Timestamp};
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::id_blob::{id_bytes, id_of};
use crate::store::{StoreError, StoredCheckpoint, StoredLeaf, StoredNode, StoredSeed};

/// Returns the newest checkpoint.
pub(super) async fn newest_checkpoint(db: &mut SqliteConnection) -> Result<Option<StoredCheckpoint>, StoreError> {
    let sql = format!("{SELECT_CHECKPOINTS} ORDER BY size DESC LIMIT 1");
    if !tables::exist(db).await? {
        return Ok(None);
    }
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(db).await.during(DOING)?;
    row.as_ref().map(checkpoint_of).transpose()
}

/// Returns checkpoints of more than `after` leaves.
pub(super) async fn checkpoints(
    db: &mut SqliteConnection,
    after: u64,
    at_most: usize,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let sql = format!("{SELECT_CHECKPOINTS} WHERE size > ?1 ORDER BY size LIMIT ?2");
    if !tables::exist(db).await? {
        return Ok(Vec::new());
    }
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(number(after)).bind(limit(at_most)).fetch_all(db).await.during(DOING)?;
    rows.iter().map(checkpoint_of).collect()
}

fn checkpoint_of(row: &SqliteRow) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        size: row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned(),
        note: text(row, 1)?,
        sealed_at: Timestamp::from_micros_clamped(row.try_get(2).during(DOING)?),
        position: text(row, 3)?,
    })
}

/// Returns leaves from `first` on.
pub(super) async fn leaves(
    db: &mut SqliteConnection,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredLeaf>, StoreError> {
    if !tables::exist(db).await? {
        return Ok(Vec::new());
    }
    if let Some(leaves) = leaves_at_once(db, first, at_most).await? {
        return Ok(leaves);
    }
    let sql = format!("{SELECT_LEAVES} WHERE n >= ?1 ORDER BY n LIMIT ?2");
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(number(first)).bind(limit(at_most)).fetch_all(db).await.during(DOING)?;
    rows.iter().map(leaf_of_row).collect()
}

/// Reads leaves as one value, which takes a fraction of the time of a row each. None if one of them is missing or not of the usual length: whole seeds, or
/// no seeds at all.
async fn leaves_at_once(
    db: &mut SqliteConnection,
    first: u64,
    at_most: usize,
) -> Result<Option<Vec<StoredLeaf>>, StoreError> {
    // The inner query is in order, and so is what is made of it row by row.
    let sql = "SELECT count(*), coalesce(min(n), 0), coalesce(max(n), 0), \
         total(octet_length(event_id) = 16 AND octet_length(hash) = 32), \
         coalesce(min(octet_length(seed)), -1), coalesce(max(octet_length(seed)), -1), \
         CAST(group_concat(event_id || hash || seed, '') AS BLOB) \
         FROM (SELECT n, event_id, hash, seed FROM audit_leaves WHERE n >= ?1 ORDER BY n LIMIT ?2)";
    let row = sqlx::query(sql).bind(number(first)).bind(limit(at_most)).fetch_one(db).await.during(DOING)?;
    let integer = |column: usize| row.try_get::<i64, _>(column).during(DOING);
    let (count, lowest, highest) = (integer(0)?, integer(1)?, integer(2)?);
    if count == 0 {
        return Ok(Some(Vec::new()));
    }
    let (shortest, longest) = (integer(4)?, integer(5)?);
    let usual: f64 = row.try_get(3).during(DOING)?;
    let bytes: &[u8] = row.try_get(6).during(DOING)?;
    let width = match (shortest, longest) {
        (32, 32) => 80,
        (0, 0) => 48,
        _ => return Ok(None),
    };
    let is_whole = highest.checked_sub(lowest).and_then(|between| between.checked_add(1)) == Some(count)
        && usual == count as f64
        && bytes.len() as u64 == count.unsigned_abs().saturating_mul(width);
    if !is_whole {
        return Ok(None);
    }
    let leaf_of_piece = |(index, piece): (u64, &[u8])| {
        let (event_id, rest) = piece.split_first_chunk::<16>()?;
        let (hash, seed) = rest.split_first_chunk::<32>()?;
        let event_id = EventId::from_bytes(*event_id);
        Some(StoredLeaf { index, event_id, seed: StoredSeed::from_bytes(seed), hash: *hash })
    };
    Ok((lowest.cast_unsigned()..).zip(bytes.chunks_exact(width as usize)).map(leaf_of_piece).collect())
}

/// Returns the leaf of an event.
pub(super) async fn leaf_of(db: &mut SqliteConnection, id: EventId) -> Result<Option<StoredLeaf>, StoreError> {
    if !tables::exist(db).await? {
        return Ok(None);
    }
    let sql = format!("{SELECT_LEAVES} WHERE event_id = ?1 AND n >= 0");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id_bytes(id.as_u128())).fetch_optional(db).await.during(DOING)?;
    row.as_ref().map(leaf_of_row).transpose()
}

/// Returns the numbers of the leaves of these events.
pub(super) async fn leaf_indexes(
    db: &mut SqliteConnection,
    ids: &[EventId],
) -> Result<Vec<(EventId, u64)>, StoreError> {
    if !tables::exist(db).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT CAST(event_id AS BLOB), n FROM audit_leaves WHERE n >= 0 AND event_id IN (SELECT unhex(value) FROM json_each(?1))";
    let rows = sqlx::query(sql).bind(serde_json::to_string(ids).during(DOING)?).fetch_all(db).await.during(DOING)?;
    rows.iter()
        .map(|row| {
            let id = row.try_get::<&[u8], _>(0).and_then(id_of).map(EventId::from_u128).during(DOING)?;
            Ok((id, row.try_get::<i64, _>(1).during(DOING)?.cast_unsigned()))
        })
        .collect()
}

/// A value of another length is damage that a verifier names: it becomes zeros, which no hash and no id is.
fn leaf_of_row(row: &SqliteRow) -> Result<StoredLeaf, StoreError> {
    Ok(StoredLeaf {
        index: row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned(),
        event_id: EventId::from_u128(row.try_get(1).and_then(id_of).unwrap_or_default()),
        seed: StoredSeed::from_bytes(row.try_get::<Option<&[u8]>, _>(2).during(DOING)?.unwrap_or_default()),
        hash: bytes(row, 3)?,
    })
}

/// Returns nodes of a level from `first` on.
pub(super) async fn nodes(
    db: &mut SqliteConnection,
    level: u8,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredNode>, StoreError> {
    if !tables::exist(db).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT n, CAST(hash AS BLOB) FROM audit_nodes WHERE level = ?1 AND n >= ?2 ORDER BY n LIMIT ?3";
    let rows = sqlx::query(sql)
        .bind(i64::from(level))
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

fn bytes(row: &SqliteRow, column: usize) -> Result<[u8; 32], StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column).during(DOING)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default())
}

pub(super) fn text(row: &SqliteRow, column: usize) -> Result<String, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column).during(DOING)?;
    Ok(String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned())
}

pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn limit(at_most: usize) -> i64 {
    i64::try_from(at_most).unwrap_or(i64::MAX)
}

/// Values that somebody has changed are read as what they should be.
const SELECT_CHECKPOINTS: &str =
    "SELECT size, CAST(note AS BLOB), CAST(sealed_at AS INTEGER), CAST(position AS BLOB) FROM audit_checkpoints";
const SELECT_LEAVES: &str =
    "SELECT n, CAST(event_id AS BLOB), CAST(seed AS BLOB), CAST(hash AS BLOB) FROM audit_leaves";
const DOING: &str = "reading the seal";
