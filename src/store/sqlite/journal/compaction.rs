//! Compaction: moves events from the journal into segments, a chunk at a time.
//!
//! A chunk is one transaction, so that every event is always in exactly one of the two. It is large, because it dirties
//! nearly every page of a segment's indexes, and small enough for an append to wait for.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::deletion::delete_rows;
use super::planned_move::PlannedMove;
use super::prepared_events::PreparedEvents;
use super::stored_row::{EVENTS_N, MAX_AT, MIN_AT, StoredEvent, StoredRow};
use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, permanent};
use crate::store::sqlite::segments::segment::{self, Segment};
use crate::store::sqlite::segments::segment_list_check;
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

/// The next step of maintenance.
#[derive(Debug)]
pub(crate) enum Step {
    /// Moves a chunk that is in memory.
    Move(Box<PlannedMove>),
    /// Merges parts of this segment's index.
    Merge(Segment),
    /// [`compact_some`], under the lease.
    Locked,
}

/// Chooses the next step. Moves and merges take turns while both are due.
pub(crate) async fn next_step(state: &mut WriterState, elsewhere: usize) -> Result<Step, StoreError> {
    let unmerged = value_index::next_merge(&state.segments).copied();
    let has_moved = std::mem::take(&mut state.has_moved);
    match unmerged {
        Some(segment) if has_moved || !has_enough(state, elsewhere) => return Ok(Step::Merge(segment)),
        _ if elsewhere > 0 || !has_enough(state, elsewhere) => return Ok(Step::Locked),
        _ => {}
    }
    state.has_moved = true;
    let planned = PlannedMove::of(state, CHUNK_EVENTS).await?;
    Ok(planned.map_or(Step::Locked, |planned| Step::Move(Box::new(planned))))
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
        let key = TermKey::load(&mut transaction.connection.db).await?;
        check_newest(transaction).await?;
        let newest = transaction.segments.last().copied();
        PreparedEvents::of(&events, newest, &key)?.insert(transaction).await?;
    }
    delete_rows(transaction, last, rows.len()).await
}

/// Makes the entry of the newest segment anew if it has room and another number of rows than it says: its next rows would
/// have the wrong numbers in the index.
async fn check_newest(state: &mut WriterState) -> Result<(), StoreError> {
    let db = &mut state.connection.db;
    let Some(newest) = state.segments.last().filter(|newest| newest.has_room()) else { return Ok(()) };
    if !segment_list_check::is_numbered(db, newest.n, newest.events_n).await? {
        segment_list_check::repair(db, &BTreeSet::from([newest.n])).await?;
        state.segments = segment::load(db).await?;
    }
    Ok(())
}

const DOING: &str = "indexing";
