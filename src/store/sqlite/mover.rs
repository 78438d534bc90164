//! From the journal into the segments, a chunk at a time.
//!
//! A chunk is one transaction, so that every event is in exactly one of the two at any moment. It is big enough that
//! the pages of the indexes, which it dirties nearly all of, are written for many events, and small enough that an
//! append which comes meanwhile does not wait long.

use serde_json::value::RawValue;
use sqlx::AssertSqlSafe;

use super::append::{begin, commit};
use super::backlog;
use super::columns::Columns;
use super::connection::Connection;
use super::error::Doing as _;
use super::index::{self, Part};
use super::segment::{self, SEGMENT_EVENTS, Segment, State, id_bytes};
use crate::store::StoreError;

/// How many events the journal holds before tidying begins: an idle system then has nothing to sync, and a reader little
/// to look through.
pub(super) const TIDY_FROM_EVENTS: usize = 512;
/// Or how many bytes.
const TIDY_FROM_BYTES: usize = 4 * 1024 * 1024;
/// How many events one transaction moves at the most, as nearly as whole rows allow.
pub(super) const CHUNK_EVENTS: usize = 1536;
/// How many it moves while nobody waits: about 5 ms, for somebody may come.
const IDLE_CHUNK_EVENTS: usize = 512;

/// Whether tidying has something to do. `elsewhere`: how many events came to the journal that the connection may not
/// know of.
pub(super) fn has_work(connection: &Connection, elsewhere: usize) -> bool {
    has_enough(connection, elsewhere) || index::unmerged(&connection.segments).is_some()
}

fn has_enough(connection: &Connection, elsewhere: usize) -> bool {
    connection.backlog.len() + elsewhere >= TIDY_FROM_EVENTS || connection.backlog.bytes() >= TIDY_FROM_BYTES
}

/// Moves one chunk, or merges a part of an index, and says whether there is still work.
pub(super) async fn tidy(connection: &mut Connection, elsewhere: usize) -> Result<bool, StoreError> {
    // The last row stays: a row that has enough by itself is not to be tried again and again.
    if has_enough(connection, elsewhere) && move_chunk(connection, IDLE_CHUNK_EVENTS).await? {
        return Ok(has_work(connection, 0));
    }
    index::merge(connection).await
}

/// Moves about this many events of the oldest rows, and says whether there were any.
pub(super) async fn move_chunk(connection: &mut Connection, events: usize) -> Result<bool, StoreError> {
    begin(&mut connection.db).await?;
    backlog::sync(connection).await?;
    let oldest = connection.backlog.oldest(events);
    if let Some(last) = oldest {
        move_rows(connection, last).await?;
    }
    commit(&mut connection.db).await?;
    Ok(oldest.is_some())
}

/// Moves the rows up to this one, inside of a transaction.
pub(super) async fn move_rows(connection: &mut Connection, last: i64) -> Result<(), StoreError> {
    // One row out of SQLite instead of one for each batch: each row costs a crossing of threads.
    let text: Option<String> = sqlx::query_scalar(
        "SELECT group_concat(events, ',') FROM \
         (SELECT events FROM audit_journal WHERE seq <= ?1 AND events_n > 0 ORDER BY seq)",
    )
    .bind(last)
    .fetch_one(&mut *connection.db)
    .await
    .doing(DOING)?;
    let text = format!("[{}]", text.unwrap_or_default());
    let batches: Vec<Vec<&RawValue>> = serde_json::from_str(&text).doing(DOING)?;
    let events: Vec<&RawValue> = batches.into_iter().flatten().collect();
    if !events.is_empty() {
        insert(connection, &events).await?;
    }
    sqlx::query("DELETE FROM audit_journal WHERE seq <= ?1")
        .bind(last)
        .execute(&mut *connection.db)
        .await
        .doing(DOING)?;
    connection.backlog.forget_up_to(last);
    Ok(())
}

/// Inserts the events into the newest segment, as far as it has room, and into new ones.
async fn insert(connection: &mut Connection, mut events: &[&RawValue]) -> Result<(), StoreError> {
    while !events.is_empty() {
        let mut current = match connection.segments.last() {
            Some(newest) if newest.has_room() => *newest,
            newest => {
                let made = Segment::empty(newest.map_or(1, |newest| newest.n + 1));
                segment::create(&mut connection.db, made.n).await?;
                made
            }
        };
        let room = usize::try_from(SEGMENT_EVENTS - current.events_n).unwrap_or(0);
        let (now, later) = events.split_at(room.min(events.len()));
        insert_part(connection, &mut current, now).await?;
        list(connection, current).await?;
        events = later;
    }
    Ok(())
}

/// Inserts the events into a segment, and their part into its index.
async fn insert_part(
    connection: &mut Connection,
    segment: &mut Segment,
    events: &[&RawValue],
) -> Result<(), StoreError> {
    // Its rows are numbered from 1 without a gap: from an indexed segment none is ever removed.
    let before = segment.events_n;
    let mut part = Part::default();
    let mut rest = events;
    for shape in SHAPES {
        while rest.len() >= shape {
            let (now, later) = rest.split_at(shape);
            insert_rows(connection, segment, now, &mut part).await?;
            rest = later;
        }
    }
    if segment.events_n == before + events.len() as u64 {
        return part.keep(&mut connection.db, segment.n, as_number(before) + 1).await;
    }
    // An event was there already, so that the rows are not those of the part.
    segment.state = State::Bare;
    index::forget(&mut connection.db, segment.n).await
}

/// Inserts as many events as one of the [`SHAPES`] has rows.
async fn insert_rows<'a>(
    connection: &mut Connection,
    segment: &mut Segment,
    events: &[&'a RawValue],
    part: &mut Part<'a>,
) -> Result<(), StoreError> {
    let mut query = sqlx::query(AssertSqlSafe(statement(segment.n, events.len())));
    for (event, before) in events.iter().zip(segment.events_n..) {
        let columns: Columns<'a> = serde_json::from_str(event.get()).doing(DOING)?;
        part.add(&columns, u32::try_from(before + 1).unwrap_or(u32::MAX));
        let (at, id) = (columns.created_at.as_micros(), columns.event_id.as_u128());
        segment.first_at = segment.first_at.min(at);
        segment.last_at = segment.last_at.max(at);
        segment.min_id = segment.min_id.min(id);
        segment.max_id = segment.max_id.max(id);
        query = query
            .bind(id_bytes(id))
            .bind(at)
            .bind(columns.event_type)
            .bind(columns.phase.as_str())
            .bind(columns.actor.user_email)
            .bind(columns.actor.remote_addr)
            .bind(columns.resource.route)
            .bind(columns.outcome.map(i64::from))
            .bind(event.get());
    }
    segment.events_n += query.execute(&mut *connection.db).await.doing(DOING)?.rows_affected();
    Ok(())
}

fn statement(n: i64, rows: usize) -> String {
    let mut sql = format!(
        "INSERT OR IGNORE INTO audit_segment_{n}\
         (event_id, created_at, event_type, phase, user_email, remote_addr, route, outcome, event) VALUES "
    );
    for row in 0..rows {
        sql.push_str(if row == 0 { "(?,?,?,?,?,?,?,?,?)" } else { ",(?,?,?,?,?,?,?,?,?)" });
    }
    sql
}

/// Writes what is now known of the segment to the list, in the file and in memory.
async fn list(connection: &mut Connection, segment: Segment) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO audit_segments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)")
        .bind(segment.n)
        .bind(segment.first_at)
        .bind(segment.last_at)
        .bind(id_bytes(segment.min_id))
        .bind(id_bytes(segment.max_id))
        .bind(as_number(segment.events_n))
        .bind(segment.state.number())
        .execute(&mut *connection.db)
        .await
        .doing(DOING)?;
    match connection.segments.last_mut() {
        Some(newest) if newest.n == segment.n => *newest = segment,
        _ => connection.segments.push(segment),
    }
    Ok(())
}

fn as_number(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

const DOING: &str = "indexing";

/// How many rows a statement inserts: few shapes, so that each stays prepared, and few statements, because each is a
/// crossing of threads.
const SHAPES: [usize; 3] = [64, 8, 1];
