//! Compaction: moves events from the journal into segments, a chunk at a time.
//!
//! A chunk is one transaction, so that every event is always in exactly one of the two. It is large, because it dirties
//! nearly every page of a segment's indexes, and small enough for an append to wait for.

use std::collections::{BTreeSet, HashSet};

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::stored_row::{EVENTS_N, MAX_AT, MIN_AT, StoredEvent, StoredRow};
use crate::event::EventId;
use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, discarded, permanent};
use crate::store::sqlite::events_view;
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::sealing::position::Position;
use crate::store::sqlite::sealing::tables;
use crate::store::sqlite::segments::chunk_postings::ChunkPostings;
use crate::store::sqlite::segments::segment::{self, SEGMENT_EVENTS, Segment, SegmentState};
use crate::store::sqlite::segments::segment_check;
use crate::store::sqlite::segments::terms::TermKey;
use crate::store::sqlite::segments::value_index;
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// The number of journal events from which maintenance compacts. An idle log does no I/O, and a reader scans at most so
/// many journal events.
pub(crate) const COMPACT_FROM_EVENTS: usize = 512;
/// The number of journal bytes from which maintenance compacts.
const COMPACT_FROM_BYTES: usize = 4 * 1024 * 1024;
/// The largest number of events a transaction moves, as nearly as whole rows allow.
pub(crate) const CHUNK_EVENTS: usize = 1536;
/// The number a transaction moves while no append waits: about 5 ms, because one may come.
const IDLE_CHUNK_EVENTS: usize = 512;

/// Returns true if maintenance has work. `elsewhere`: the number of events that other connections have added to the
/// journal.
pub(crate) fn is_needed(state: &WriterState, elsewhere: usize) -> bool {
    has_enough(state, elsewhere) || value_index::next_unmerged(&state.segments).is_some()
}

fn has_enough(state: &WriterState, elsewhere: usize) -> bool {
    state.journal.len() + elsewhere >= COMPACT_FROM_EVENTS || state.journal.bytes() >= COMPACT_FROM_BYTES
}

/// Moves one chunk or merges a part of an index. Returns true if work is left.
pub(crate) async fn compact_some(state: &mut WriterState, elsewhere: usize) -> Result<bool, StoreError> {
    // The last row stays. One that alone has enough events would otherwise be tried forever.
    if has_enough(state, elsewhere) && compact_chunk(state, IDLE_CHUNK_EVENTS).await? {
        return Ok(is_needed(state, 0));
    }
    value_index::merge_next_parts(state).await
}

/// Moves about this many of the oldest events. Returns false if there were none.
pub(crate) async fn compact_chunk(state: &mut WriterState, events: usize) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.refresh().await?;
    let oldest = transaction.journal.oldest_chunk(events);
    if let Some(last) = oldest {
        compact_rows(&mut transaction, last).await?;
    }
    transaction.commit().await?;
    Ok(oldest.is_some())
}

/// Moves the rows up to this one.
pub(crate) async fn compact_rows(transaction: &mut StateTransaction<'_>, last: i64) -> Result<(), StoreError> {
    // One row out of SQLite instead of one for each batch: each row costs a crossing of threads. The texts come as they
    // are, one after the other, for a row may hold anything.
    let (rows, text): (String, Vec<u8>) = sqlx::query_as(
        AssertSqlSafe(format!(
            "SELECT json_group_array(json_array(seq, n, first_at, last_at, length(text))), \
             coalesce(CAST(group_concat(text, '') AS BLOB), x'') FROM \
             (SELECT seq, {EVENTS_N} AS n, {MIN_AT} AS first_at, {MAX_AT} AS last_at, coalesce(CAST(events AS BLOB), x'') AS text \
              FROM audit_journal WHERE seq <= ?1 ORDER BY seq)"
        ))
    )
    .bind(last)
    .fetch_one(&mut *transaction.connection.db)
    .await
    .during(DOING)?;
    let rows: Vec<(i64, i64, i64, i64, usize)> = serde_json::from_str(&rows).during(DOING)?;
    let mut texts = Vec::with_capacity(rows.len());
    let mut rest = text.as_slice();
    for (seq, events_n, min_at, max_at, len) in &rows {
        let (text, later) = rest.split_at_checked(*len).ok_or_else(|| permanent(DOING))?;
        rest = later;
        if *events_n != 0 {
            let row = StoredRow { seq: *seq, events_n: *events_n, min_at: *min_at, max_at: *max_at };
            texts.push((row, String::from_utf8_lossy(text)));
        }
    }
    let events: Vec<StoredEvent<'_>> =
        texts.iter().flat_map(|(row, text)| row.pieces(text).map(|piece| row.moved(piece))).collect();
    if !events.is_empty() {
        insert(transaction, &events).await?;
    }
    let deleted = sqlx::query("DELETE FROM audit_journal WHERE seq <= ?1")
        .bind(last)
        .execute(&mut *transaction.connection.db)
        .await
        .during(DOING)?;
    if deleted.rows_affected() != rows.len() as u64 {
        return Err(discarded(DOING));
    }
    transaction.journal.remove_rows_through(last);
    Ok(())
}

/// Inserts events into the newest segment while it has room, then into new ones.
async fn insert(state: &mut WriterState, mut events: &[StoredEvent<'_>]) -> Result<(), StoreError> {
    let key = TermKey::load(&mut state.connection.db).await?;
    check_newest(state).await?;
    while !events.is_empty() {
        let mut current = match state.segments.last() {
            Some(newest) if newest.has_room() => *newest,
            _ => {
                let db = &mut state.connection.db;
                let n = segment::next_number(db).await?.max(first_unsealed_segment(db).await?);
                let made = Segment::empty(n);
                segment::create(&mut state.connection.db, made.n).await?;
                made
            }
        };
        let room = usize::try_from(SEGMENT_EVENTS - current.events_n).unwrap_or(0);
        let (now, later) = events.split_at(room.min(events.len()));
        insert_part(state, &mut current, now, &key).await?;
        let is_new = state.segments.last().is_none_or(|newest| newest.n != current.n);
        update_segment_list(state, current).await?;
        if is_new {
            events_view::refresh(&mut state.connection.db).await?;
        }
        events = later;
    }
    Ok(())
}

/// Makes the entry of the newest segment anew if it has room and another number of rows than it says: its next rows would
/// have the wrong numbers in the index.
async fn check_newest(state: &mut WriterState) -> Result<(), StoreError> {
    let db = &mut state.connection.db;
    let Some(newest) = state.segments.last().filter(|newest| newest.has_room()) else { return Ok(()) };
    if !segment_check::is_numbered(db, newest.n, newest.events_n).await? {
        segment_check::repair(db, &BTreeSet::from([newest.n])).await?;
        state.segments = segment::load(db).await?;
    }
    Ok(())
}

/// Returns the number behind the segment that the newest checkpoint names; 0 in a log that is not sealed. A sealed log gives no
/// number twice, not even after a purge of every segment: a position would take the new one for sealed.
async fn first_unsealed_segment(db: &mut SqliteConnection) -> Result<i64, StoreError> {
    let sql = "SELECT position FROM audit_checkpoints ORDER BY size DESC LIMIT 1";
    if !tables::exist(db).await? {
        return Ok(0);
    }
    let position: Option<String> = sqlx::query_scalar(sql).fetch_optional(db).await.during(DOING)?;
    Ok(position.map_or(0, |position| Position::read(&position).segment.max(0).saturating_add(1)))
}

/// Inserts events into a segment, and their postings into its index.
async fn insert_part(
    state: &mut WriterState,
    segment: &mut Segment,
    events: &[StoredEvent<'_>],
    key: &TermKey,
) -> Result<(), StoreError> {
    // Its rows are numbered from 1 without a gap: from an indexed segment none is ever removed.
    let before = segment.events_n;
    let mut part = ChunkPostings::new(key);
    let mut rest = events;
    for shape in SHAPES {
        while rest.len() >= shape {
            let (now, later) = rest.split_at(shape);
            insert_rows(state, segment, now, &mut part).await?;
            rest = later;
        }
    }
    if segment.events_n == before + events.len() as u64 {
        segment.terms_n += part.insert(&mut state.connection.db, segment.n, as_number(before) + 1).await?;
        return Ok(());
    }
    // An event was there already, so that the rows are not those of the part. Or the database discards rows: then they
    // must not leave the journal.
    assert_all_in(state, segment.n, events).await?;
    segment.state = SegmentState::Unindexed;
    segment.terms_n = 0;
    Ok(())
}

/// Fails if an event is not in the segment.
async fn assert_all_in(state: &mut WriterState, n: i64, events: &[StoredEvent<'_>]) -> Result<(), StoreError> {
    let ids: HashSet<EventId> = events.iter().map(|event| event.columns.event_id).collect();
    let listed = serde_json::to_string(&ids).during(DOING)?;
    let sql =
        format!("SELECT count(*) FROM audit_segment_{n} WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))");
    let there: i64 =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(listed).fetch_one(&mut *state.connection.db).await.during(DOING)?;
    if usize::try_from(there) == Ok(ids.len()) { Ok(()) } else { Err(discarded(DOING)) }
}

/// Inserts as many events as one of the [`SHAPES`] has rows.
async fn insert_rows<'a>(
    state: &mut WriterState,
    segment: &mut Segment,
    events: &[StoredEvent<'a>],
    part: &mut ChunkPostings<'a>,
) -> Result<(), StoreError> {
    let mut query = sqlx::query(AssertSqlSafe(statement(segment.n, events.len())));
    for (StoredEvent { columns, text }, before) in events.iter().zip(segment.events_n..) {
        part.add(columns, u32::try_from(before + 1).unwrap_or(u32::MAX));
        let (at, id) = (columns.created_at.as_micros(), columns.event_id.as_u128());
        segment.first_at = segment.first_at.min(at);
        segment.last_at = segment.last_at.max(at);
        segment.min_id = segment.min_id.min(id);
        segment.max_id = segment.max_id.max(id);
        query = query
            .bind(id_bytes(id))
            .bind(at)
            .bind(columns.event_type.as_ref())
            .bind(columns.phase.as_str())
            .bind(columns.actor.user_email.as_deref())
            .bind(columns.actor.remote_addr.as_deref())
            .bind(columns.resource.route.as_deref())
            .bind(columns.outcome.map(i64::from))
            .bind(*text);
    }
    segment.events_n += query.execute(&mut *state.connection.db).await.during(DOING)?.rows_affected();
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

/// Updates the segment in the list, in the file and in memory.
async fn update_segment_list(state: &mut WriterState, segment: Segment) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO audit_segments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)")
        .bind(segment.n)
        .bind(segment.first_at)
        .bind(segment.last_at)
        .bind(id_bytes(segment.min_id))
        .bind(id_bytes(segment.max_id))
        .bind(as_number(segment.events_n))
        .bind(segment.state.number())
        .bind(as_number(segment.terms_n))
        .execute(&mut *state.connection.db)
        .await
        .during(DOING)?;
    match state.segments.last_mut() {
        Some(newest) if newest.n == segment.n => *newest = segment,
        _ => state.segments.push(segment),
    }
    Ok(())
}

fn as_number(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

const DOING: &str = "indexing";

/// The numbers of rows that an INSERT has: few shapes, so that each stays prepared; few statements, because each
/// crosses to the driver's thread.
const SHAPES: [usize; 3] = [64, 8, 1];
