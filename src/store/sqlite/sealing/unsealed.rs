//! Events without a leaf, in the order of their commits.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::position::Position;
use super::tables;
use crate::event::{AuditEvent, EventId};
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::id_blob::id_of;
use crate::store::sqlite::journal::stored_row::{COLUMNS, StoredRow};
use crate::store::sqlite::segments::{segment, segment_row};
use crate::store::{StoreError, UnsealedEvents};

/// Returns the next events without a leaf.
///
/// A position saves the rows before it. The rows after it are compared with the leaves, because compaction may have moved sealed
/// ones there.
pub(super) async fn unsealed(
    db: &mut SqliteConnection,
    position: &str,
    at_most: usize,
) -> Result<UnsealedEvents, StoreError> {
    let has_tables = tables::exist(db).await?;
    let mut position = Position::read(position);
    let with_table = segment::tables(db).await?;
    let segments: Vec<i64> =
        segment::load(db).await?.iter().map(|segment| segment.n).filter(|n| with_table.contains(n)).collect();
    let last_in_journal: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM audit_journal")
        .fetch_one(&mut *db)
        .await
        .during(DOING)?;
    // The clock went back while the journal was emptied, or somebody has written another position.
    if position.journal > last_in_journal {
        position.journal = i64::MIN;
    }
    if segments.contains(&position.segment) && !(has_tables && is_sealed_row(db, position).await?) {
        position.row = i64::MIN;
    }
    let mut events = Vec::new();
    for n in segments {
        if n < position.segment {
            continue;
        }
        if n > position.segment {
            position = Position { segment: n, row: i64::MIN, ..position };
        }
        loop {
            let is_at_end = of_segment(db, n, has_tables, at_most, &mut position, &mut events).await?;
            if events.len() >= at_most {
                return Ok(UnsealedEvents { events, position: position.to_string(), has_more: true });
            }
            if is_at_end {
                break;
            }
        }
    }
    let has_more = of_journal(db, has_tables, at_most, &mut position, &mut events).await?;
    // Somebody may have put one id into two tables.
    let mut ids = HashSet::with_capacity(events.len());
    events.retain(|event| ids.insert(event.event_id));
    Ok(UnsealedEvents { events, position: position.to_string(), has_more })
}

/// Returns true if the row at the position has a leaf. If not, the rows were numbered anew after somebody had deleted some, and the
/// position is another row's.
async fn is_sealed_row(db: &mut SqliteConnection, position: Position) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM audit_segment_{} AS event JOIN audit_leaves AS leaf ON leaf.event_id = event.event_id WHERE event.seq = ?1 AND leaf.n >= 0)",
        position.segment
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(position.row).fetch_one(db).await.during(DOING)
}

/// Adds events of the next rows of a segment. Returns true if there are no further rows.
async fn of_segment(
    db: &mut SqliteConnection,
    n: i64,
    has_tables: bool,
    at_most: usize,
    position: &mut Position,
    events: &mut Vec<AuditEvent>,
) -> Result<bool, StoreError> {
    let room = at_most.saturating_sub(events.len()).clamp(1, ROWS_AT_ONCE);
    let (last, sealed): (Option<i64>, i64) = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT max(seq), count(*) FROM (SELECT seq FROM audit_segment_{n} WHERE seq > ?1 ORDER BY seq LIMIT ?2)"
    )))
    .bind(position.row)
    .bind(i64::try_from(room).unwrap_or(i64::MAX))
    .fetch_one(&mut *db)
    .await
    .during(DOING)?;
    let Some(last) = last else { return Ok(true) };
    let without_leaf = match has_tables {
        true => {
            "AND NOT EXISTS (SELECT 1 FROM audit_leaves AS leaf WHERE leaf.event_id = event.event_id AND leaf.n >= 0)"
        }
        false => "",
    };
    // A row whose id is none has been damaged since it was inserted; a leaf for it would find no event. A verification names it.
    let sql = format!(
        "SELECT {} FROM audit_segment_{n} AS event WHERE seq > ?1 AND seq <= ?2 {without_leaf} \
         AND typeof(event_id) = 'blob' AND length(event_id) = 16 ORDER BY seq",
        segment_row::COLUMNS
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(position.row).bind(last).fetch_all(&mut *db).await.during(DOING)?;
    for row in &rows {
        events.push(segment_row::event(row)?);
    }
    position.row = last;
    Ok(usize::try_from(sealed).is_ok_and(|rows| rows < room))
}

/// Adds events of the journal. Returns true if there may be more.
async fn of_journal(
    db: &mut SqliteConnection,
    has_tables: bool,
    at_most: usize,
    position: &mut Position,
    events: &mut Vec<AuditEvent>,
) -> Result<bool, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM audit_journal WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(position.journal)
        .bind(JOURNAL_ROWS_AT_ONCE)
        .fetch_all(&mut *db)
        .await
        .during(DOING)?;
    let is_cut = rows.len() as i64 == JOURNAL_ROWS_AT_ONCE;
    for row in &rows {
        if events.len() >= at_most {
            return Ok(true);
        }
        let (row, text) = StoredRow::read(row).during(DOING)?;
        let mut found: Vec<AuditEvent> = match row.events_n {
            0 => Vec::new(),
            _ => row
                .pieces(&text)
                .map(|piece| row.stored(piece))
                .map(|stored| stored.columns.event(stored.text))
                .collect(),
        };
        if has_tables && !found.is_empty() {
            let sealed = sealed(db, &found).await?;
            found.retain(|event| !sealed.contains(&event.event_id));
        }
        events.append(&mut found);
        position.journal = row.seq;
    }
    Ok(is_cut)
}

/// Returns the ids of those events that have a leaf.
async fn sealed(db: &mut SqliteConnection, events: &[AuditEvent]) -> Result<HashSet<EventId>, StoreError> {
    let ids: Vec<EventId> = events.iter().map(|event| event.event_id).collect();
    let sql = "SELECT event_id FROM audit_leaves WHERE n >= 0 AND event_id IN (SELECT unhex(value) FROM json_each(?1))";
    let rows = sqlx::query(sql).bind(serde_json::to_string(&ids).during(DOING)?).fetch_all(db).await.during(DOING)?;
    rows.iter().map(|row| row.try_get::<&[u8], _>(0).and_then(id_of).map(EventId::from_u128).during(DOING)).collect()
}

const DOING: &str = "looking for events without a leaf";
/// The largest number of rows of a segment that one statement looks at.
const ROWS_AT_ONCE: usize = 4096;
const JOURNAL_ROWS_AT_ONCE: i64 = 1024;
