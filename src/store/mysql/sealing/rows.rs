//! Reading the tables of the seal.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::tables;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::store::mysql::error::DuringOperation as _;
use crate::store::mysql::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES};
use crate::store::mysql::row::{columns, event_of, id_of};
use crate::store::mysql::session::{IDS_AT_ONCE, bind_ids, marks};
use crate::store::{ForeignRow, StoreError, StoredCheckpoint, StoredLeaf, StoredNode, StoredSeed};

/// Returns the newest checkpoint.
pub(super) async fn newest_checkpoint(
    db: &mut MySqlConnection,
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
    db: &mut MySqlConnection,
    names: &Identifiers,
    after: u64,
    at_most: usize,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("{} WHERE size > ? ORDER BY size LIMIT ?", select_checkpoints(names));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(number_of(after)).bind(limit(at_most));
    query.fetch_all(db).await.during(DOING)?.iter().map(checkpoint_of).collect()
}

fn select_checkpoints(names: &Identifiers) -> String {
    format!("SELECT size, note, sealed_at, position FROM {}", names.side_table(CHECKPOINTS))
}

fn checkpoint_of(row: &MySqlRow) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        size: row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned(),
        note: row.try_get(1).during(DOING)?,
        sealed_at: Timestamp::from_micros_clamped(row.try_get(2).during(DOING)?),
        position: row.try_get(3).during(DOING)?,
    })
}

/// Returns leaves from `first` on.
pub(super) async fn leaves(
    db: &mut MySqlConnection,
    names: &Identifiers,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredLeaf>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("{} WHERE n >= ? ORDER BY n LIMIT ?", select_leaves(names));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(number_of(first)).bind(limit(at_most));
    query.fetch_all(db).await.during(DOING)?.iter().map(leaf_of_row).collect()
}

/// Returns the leaf of an event.
pub(super) async fn leaf_of(
    db: &mut MySqlConnection,
    names: &Identifiers,
    id: EventId,
) -> Result<Option<StoredLeaf>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(None);
    }
    let sql = format!("{} WHERE event_id = ? AND n >= 0", select_leaves(names));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes().to_vec());
    query.fetch_optional(db).await.during(DOING)?.as_ref().map(leaf_of_row).transpose()
}

/// Returns the numbers of the leaves of these events.
pub(super) async fn leaf_indexes(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
) -> Result<Vec<(EventId, u64)>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let mut indexes = Vec::with_capacity(ids.len());
    for some in ids.chunks(IDS_AT_ONCE) {
        let sql = format!(
            "SELECT event_id, n FROM {} WHERE event_id IN ({}) AND n >= 0",
            names.side_table(LEAVES),
            marks(some.len())
        );
        let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(some.len() == IDS_AT_ONCE), some);
        for row in query.fetch_all(&mut *db).await.during(DOING)? {
            indexes.push((id_of(&row, 0, DOING)?, row.try_get::<i64, _>(1).during(DOING)?.cast_unsigned()));
        }
    }
    Ok(indexes)
}

fn select_leaves(names: &Identifiers) -> String {
    format!("SELECT n, event_id, seed, hash FROM {}", names.side_table(LEAVES))
}

fn leaf_of_row(row: &MySqlRow) -> Result<StoredLeaf, StoreError> {
    Ok(StoredLeaf {
        index: row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned(),
        event_id: id_of(row, 1, DOING)?,
        seed: StoredSeed::from_bytes(row.try_get(2).during(DOING)?),
        hash: hash(row, 3)?,
    })
}

/// Returns leaves with numbers below 0. Ids are checked by their type.
pub(super) async fn foreign_rows(
    db: &mut MySqlConnection,
    names: &Identifiers,
    at_most: usize,
) -> Result<Vec<ForeignRow>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT n FROM {} WHERE n < 0 LIMIT ?", names.side_table(LEAVES));
    let numbers: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit(at_most)).fetch_all(db).await.during(DOING)?;
    Ok(numbers.into_iter().map(|number| ForeignRow::Leaf { number }).collect())
}

/// Returns nodes of a level from `first` on.
pub(super) async fn nodes(
    db: &mut MySqlConnection,
    names: &Identifiers,
    level: u8,
    first: u64,
    at_most: usize,
) -> Result<Vec<StoredNode>, StoreError> {
    if !tables::exist(db, names).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT n, hash FROM {} WHERE level = ? AND n >= ? ORDER BY n LIMIT ?", names.side_table(NODES));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(i16::from(level)).bind(number_of(first)).bind(limit(at_most));
    let rows = query.fetch_all(db).await.during(DOING)?;
    rows.iter()
        .map(|row| {
            let index = row.try_get::<i64, _>(0).during(DOING)?.cast_unsigned();
            Ok(StoredNode { level, index, hash: hash(row, 1)? })
        })
        .collect()
}

/// Returns those of these events that are there.
pub(super) async fn events(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
) -> Result<Vec<AuditEvent>, StoreError> {
    let mut events = Vec::with_capacity(ids.len());
    for some in ids.chunks(IDS_AT_ONCE) {
        let sql =
            format!("SELECT {} FROM {} AS e WHERE e.event_id IN ({})", columns(), names.table(), marks(some.len()));
        let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(some.len() == IDS_AT_ONCE), some);
        for row in query.fetch_all(&mut *db).await.during(DOING)? {
            events.push(event_of(&row, DOING)?);
        }
    }
    Ok(events)
}

/// A value of another length is damage that a verifier names: it becomes zeros, which no hash is.
fn hash(row: &MySqlRow, column: usize) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column).during(DOING)?;
    Ok(bytes.try_into().unwrap_or_default())
}

pub(super) fn number_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn limit(at_most: usize) -> i64 {
    i64::try_from(at_most).unwrap_or(i64::MAX)
}

const DOING: &str = "reading the seal";
