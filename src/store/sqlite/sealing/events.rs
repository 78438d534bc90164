//! Events by their ids, as many as a verification compares at once.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::rows::limit;
use crate::event::{AuditEvent, EventId};
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::journal::stored_row::{COLUMNS, HAS_EVENTS, StoredRow};
use crate::store::sqlite::segments::{segment, segment_row};

/// Returns those of the events that are there: every row with one of the ids, in whatever table it is.
pub(super) async fn events(db: &mut SqliteConnection, ids: &[EventId]) -> Result<Vec<AuditEvent>, StoreError> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(Vec::new()) };
    let bounds = (id_bytes(first.as_u128()), id_bytes(last.as_u128()));
    let wanted: HashSet<EventId> = ids.iter().copied().collect();
    let mut events = Vec::with_capacity(ids.len());
    for n in segments_between(db, &bounds).await? {
        match rows_between(db, n, &bounds, ids.len()).await? {
            Some((first, last)) => {
                let mut next = first;
                while next <= last {
                    let end = next.saturating_add(ROWS_AT_ONCE - 1).min(last);
                    match events_at_once(db, n, (next, end), &wanted).await? {
                        Some(found) => events.extend(found),
                        None => in_rows(db, n, (next, end), &wanted, &mut events).await?,
                    }
                    let Some(following) = end.checked_add(1) else { break };
                    next = following;
                }
            }
            None => by_id(db, n, ids, &mut events).await?,
        }
    }
    in_journal(db, &wanted, &mut events).await?;
    Ok(events)
}

type Bounds = (Vec<u8>, Vec<u8>);

/// Returns the segments with an id between these. Not by their list, whose bounds somebody may have changed.
async fn segments_between(db: &mut SqliteConnection, bounds: &Bounds) -> Result<Vec<i64>, StoreError> {
    let listed: Vec<i64> =
        sqlx::query_scalar("SELECT n FROM audit_segments ORDER BY n").fetch_all(&mut *db).await.during(DOING)?;
    let with_table = segment::tables(db).await?;
    let segments: Vec<i64> = listed.into_iter().filter(|n| with_table.contains(n)).collect();
    let mut found = Vec::new();
    for some in segments.chunks(SEGMENTS_AT_ONCE) {
        let one = |n: &i64| {
            format!("SELECT {n} WHERE EXISTS (SELECT 1 FROM audit_segment_{n} WHERE event_id BETWEEN ?1 AND ?2)")
        };
        let sql = some.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        let asked = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(&bounds.0).bind(&bounds.1);
        found.extend(asked.fetch_all(&mut *db).await.during(DOING)?);
    }
    Ok(found)
}

/// Returns the first and the last row with an id between these. None if the rows lie far from each other, or are many more than are wanted.
///
/// Leaves are in the order of the rows, so their events lie together, unless a late one is among them:
///
/// - The ids 7 to 2054 are wanted. The rows 7 to 2054 have them: one reads through these.
/// - The ids 7 to 2053 and 900,000 are wanted: one asks for each by the index.
async fn rows_between(
    db: &mut SqliteConnection,
    n: i64,
    bounds: &Bounds,
    wanted: usize,
) -> Result<Option<(i64, i64)>, StoreError> {
    let most = limit(wanted.saturating_mul(2).saturating_add(64));
    let sql = format!(
        "SELECT count(*), min(seq), max(seq) FROM (SELECT seq FROM audit_segment_{n} WHERE event_id BETWEEN ?1 AND ?2 LIMIT ?3)"
    );
    let (count, first, last): (i64, Option<i64>, Option<i64>) = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&bounds.0)
        .bind(&bounds.1)
        .bind(most)
        .fetch_one(db)
        .await
        .during(DOING)?;
    let rows = first.zip(last).filter(|(first, last)| count < most && last.abs_diff(*first) < most.unsigned_abs());
    Ok(rows)
}

/// Reads the events of consecutive rows that are wanted as one value, which takes a fraction of the time of a row with nine columns each. None if one of
/// the rows is not as it was inserted: read one by one, it is what its columns say.
async fn events_at_once(
    db: &mut SqliteConnection,
    n: i64,
    (first, last): (i64, i64),
    wanted: &HashSet<EventId>,
) -> Result<Option<Vec<AuditEvent>>, StoreError> {
    let sql = format!(
        "SELECT count(*), total(typeof(event_id) = 'blob' AND octet_length(event_id) = 16), \
         CAST(group_concat(event_id, '') AS BLOB), \
         CAST(group_concat(concat(created_at, '{SEPARATOR}', event_type, '{SEPARATOR}', phase, \
         '{SEPARATOR}', coalesce(user_email, '{NULL}'), '{SEPARATOR}', coalesce(remote_addr, '{NULL}'), \
         '{SEPARATOR}', coalesce(route, '{NULL}'), '{SEPARATOR}', coalesce(outcome, '{NULL}'), '{SEPARATOR}', event), '{SEPARATOR}') AS BLOB) \
         FROM (SELECT * FROM audit_segment_{n} WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq)"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(first).bind(last).fetch_one(db).await.during(DOING)?;
    let count: i64 = row.try_get(0).during(DOING)?;
    if count == 0 {
        return Ok(Some(Vec::new()));
    }
    let with_id: f64 = row.try_get(1).during(DOING)?;
    let (ids, texts): (&[u8], &[u8]) = (row.try_get(2).during(DOING)?, row.try_get(3).during(DOING)?);
    let (ids, rest) = ids.as_chunks::<16>();
    if with_id != count as f64 || ids.len() as u64 != count.unsigned_abs() || !rest.is_empty() {
        return Ok(None);
    }
    Ok(str::from_utf8(texts).ok().and_then(|texts| events_of_parts(ids, texts, wanted)))
}

/// Returns the wanted events of rows with these ids and values. None if there are more or fewer values, or an event is another than its columns say.
fn events_of_parts(ids: &[[u8; 16]], texts: &str, wanted: &HashSet<EventId>) -> Option<Vec<AuditEvent>> {
    let mut parts = texts.split(SEPARATOR);
    let mut events = Vec::with_capacity(ids.len());
    for id in ids.iter().map(|id| EventId::from_bytes(*id)) {
        let mut part = || parts.next();
        let (created_at, event_type, phase) = (part()?, part()?, part()?);
        let (user_email, remote_addr, route, outcome) = (part()?, part()?, part()?, part()?);
        let text = part()?;
        if !wanted.contains(&id) {
            continue;
        }
        let event: AuditEvent = serde_json::from_str(text).ok()?;
        let fits = event.event_id == id
            && created_at.parse() == Ok(event.created_at.as_micros())
            && event_type == event.event_type.as_str()
            && phase == event.phase.as_str()
            && user_email == event.actor.user_email.as_deref().unwrap_or(NULL)
            && remote_addr == event.actor.remote_addr.as_deref().unwrap_or(NULL)
            && route == event.resource.route.as_deref().unwrap_or(NULL)
            && match event.outcome {
                Some(expected) => outcome.parse() == Ok(expected),
                None => outcome == NULL,
            };
        // A text that is what stands for none here.
        let is_plain = [&event.actor.user_email, &event.actor.remote_addr, &event.resource.route]
            .iter()
            .all(|text| text.as_deref() != Some(NULL));
        if !(fits && is_plain) {
            return None;
        }
        events.push(event);
    }
    parts.next().is_none().then_some(events)
}

/// Adds the events of consecutive rows that are wanted.
async fn in_rows(
    db: &mut SqliteConnection,
    n: i64,
    (first, last): (i64, i64),
    wanted: &HashSet<EventId>,
    events: &mut Vec<AuditEvent>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT {} FROM audit_segment_{n} WHERE seq BETWEEN ?1 AND ?2", segment_row::COLUMNS);
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(first).bind(last).fetch_all(db).await.during(DOING)?;
    for row in &rows {
        if wanted.contains(&segment_row::place_of(row, 0, 1)?.event_id) {
            events.push(segment_row::event(row)?);
        }
    }
    Ok(())
}

/// Adds the events with these ids, each by the index.
async fn by_id(
    db: &mut SqliteConnection,
    n: i64,
    ids: &[EventId],
    events: &mut Vec<AuditEvent>,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT {} FROM audit_segment_{n} WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))",
        segment_row::COLUMNS
    );
    let listed = serde_json::to_string(ids).during(DOING)?;
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(listed).fetch_all(db).await.during(DOING)?;
    for row in &rows {
        events.push(segment_row::event(row)?);
    }
    Ok(())
}

/// Adds the events of the journal that are wanted.
async fn in_journal(
    db: &mut SqliteConnection,
    wanted: &HashSet<EventId>,
    events: &mut Vec<AuditEvent>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM audit_journal WHERE {HAS_EVENTS}");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(db).await.during(DOING)?;
    for row in &rows {
        let (row, text) = StoredRow::read(row).during(DOING)?;
        if !row.ids(&text).into_iter().any(|id| wanted.contains(&EventId::from_u128(id))) {
            continue;
        }
        let stored = row.pieces(&text).map(|piece| row.stored(piece));
        let stored = stored.filter(|stored| wanted.contains(&stored.columns.event_id));
        events.extend(stored.map(|stored| stored.columns.event(stored.text)));
    }
    Ok(())
}

const DOING: &str = "reading the seal";
/// Stands between the values of rows. JSON has it escaped; if a value has it, there are more values than expected.
const SEPARATOR: char = '\u{1f}';
/// Stands for NULL.
const NULL: &str = "\u{1e}";
/// Bounds the memory: SQLite and the driver have two copies of the texts.
const ROWS_AT_ONCE: i64 = 512;
/// SQLite takes 500 parts of a statement.
const SEGMENTS_AT_ONCE: usize = 256;
