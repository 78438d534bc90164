//! Purge: deletes old events a chunk at a time.
//!
//! Each step is one transaction that holds the write lock for some milliseconds. A step leaves the file whole, so a
//! purge that is killed goes on with the next call, in whatever process.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::error::{DuringOperation as _, discarded};
use super::events_view;
use super::id_blob::id_bytes;
use super::journal::append::{EMPTY_ROW, begin_journal};
use super::journal::compaction::{CHUNK_EVENTS, compact_rows};
use super::journal::stored_row::{HAS_EVENTS, MIN_AT};
use super::lock_wait::POLLS;
use super::segments::segment::{self, POSTINGS_AT_ONCE, Segment, SegmentState};
use super::writer_state::{StateTransaction, WriterState};
use crate::event::{EventId, Timestamp};
use crate::store::{OPEN_COPY_AGE, PurgeOutcome, StoreError};

/// Overwrites deleted bytes from here on, in freed pages too. An append need not: its pages are reused soon, and
/// [scrubbed](scrub) by the next purge.
pub(super) async fn begin_overwriting(state: &mut WriterState) -> Result<(), StoreError> {
    pragma(state, "PRAGMA secure_delete = ON").await
}

pub(super) async fn end_overwriting(state: &mut WriterState) -> Result<(), StoreError> {
    pragma(state, "PRAGMA secure_delete = FAST").await
}

async fn pragma(state: &mut WriterState, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).persistent(false).execute(&mut *state.connection.db).await.during(DOING)?;
    Ok(())
}

/// Moves about `at_most` of the oldest journal events into segments if any journal event is old. Returns true if one
/// still is. Newer rows between them move too, so that the journal keeps its newest part.
pub(super) async fn compact_old(state: &mut WriterState, before: i64, at_most: usize) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let mut old = newest_old(&mut transaction, before).await?;
    if let Some(seq) = old {
        transaction.refresh().await?;
        compact_through(&mut transaction, seq, at_most).await?;
        old = newest_old(&mut transaction, before).await?;
    }
    transaction.commit().await?;
    Ok(old.is_some())
}

/// Moves a chunk of about `at_most` of the oldest journal events, but none after the row `seq`.
pub(super) async fn compact_through(
    transaction: &mut StateTransaction<'_>,
    seq: i64,
    at_most: usize,
) -> Result<(), StoreError> {
    begin_journal(transaction).await?;
    let last = transaction.journal.last_seq;
    if seq == last {
        // The last row stays, so it must be another: one without an event.
        let result =
            sqlx::query(EMPTY_ROW).bind(last + 1).execute(&mut *transaction.connection.db).await.during(DOING)?;
        if result.rows_affected() != 1 {
            return Err(discarded(DOING));
        }
        transaction.journal.push_empty(last + 1);
    }
    let chunk = transaction.journal.oldest_chunk(CHUNK_EVENTS.min(at_most)).unwrap_or(seq);
    compact_rows(transaction, chunk.min(seq)).await
}

/// Returns the last journal row with an old event.
async fn newest_old(state: &mut WriterState, before: i64) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT max(seq) FROM audit_journal WHERE {HAS_EVENTS} AND {MIN_AT} < ?1");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(before).fetch_one(&mut *state.connection.db).await.during(DOING)
}

/// Deletes up to `at_most` old events from the segments.
pub(super) async fn delete_old(
    state: &mut WriterState,
    before: i64,
    at_most: usize,
) -> Result<PurgeOutcome, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let segments = segment::load(&mut transaction.connection.db).await?;
    let mut left = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut removed = 0;
    for kept in segments.iter().filter(|kept| kept.first_at < before) {
        if left <= 0 {
            break;
        }
        // An earlier purge that was stopped may have gone further than this one may.
        let gone = if kept.last_at < before {
            delete_segment_rows(&mut transaction, kept, left).await?
        } else {
            delete_rows(&mut transaction, kept, before, left).await?
        };
        removed += gone;
        left -= i64::try_from(gone).unwrap_or(i64::MAX);
    }
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    if removed > 0 {
        note_scrub_due(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(PurgeOutcome { deleted: removed, has_more: state.segments.iter().any(|kept| kept.first_at < before) })
}

/// Deletes up to `at_most` old `started` events from the list of open ones: recovery would bring them back as
/// `unknown`. Those that are younger than [`OPEN_COPY_AGE`] stay: their requests may be running. Returns their number.
pub(super) async fn remove_open(state: &mut WriterState, before: Timestamp, at_most: usize) -> Result<u64, StoreError> {
    let before =
        before.min(Timestamp::from_micros_clamped(Timestamp::now().as_micros() - OPEN_COPY_AGE.as_micros() as i64));
    // The moments of a log all have one width. Of a copy that cannot be read, the id says when.
    let least = EventId::from_micros(before.as_micros(), 0);
    let mut transaction = StateTransaction::begin(state).await?;
    let done = sqlx::query(
        "DELETE FROM audit_started WHERE event_id IN (SELECT event_id FROM audit_started WHERE \
         CASE WHEN json_valid(event) THEN event ->> '$.created_at' < ?1 ELSE event_id < ?2 END LIMIT ?3)",
    )
    .bind(before.to_string())
    .bind(id_bytes(least.as_u128()))
    .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
    .execute(&mut *transaction.connection.db)
    .await
    .during(DOING)?;
    if done.rows_affected() > 0 {
        note_scrub_due(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(done.rows_affected())
}

/// Notes in the file that free pages have copies of what the transaction deletes, until [`scrub`] has overwritten them.
///
/// - t0: the last events of a purge or an erasure are deleted or blanked, and the note is committed with that.
/// - t1: the process is killed.
/// - t2: the next purge or erasure finds nothing to delete, finds the note and scrubs.
pub(super) async fn note_scrub_due(state: &mut WriterState) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO audit_postings(n, field, part, first, body) VALUES (-1, 0, 0, x'', x'') ON CONFLICT DO NOTHING";
    sqlx::query(sql).execute(&mut *state.connection.db).await.during(DOING)?;
    Ok(())
}

/// Returns true if free pages may have copies of deleted values, by [the note](note_scrub_due).
pub(super) async fn is_scrub_due(state: &mut WriterState) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM audit_postings WHERE n = -1)";
    sqlx::query_scalar(sql).fetch_one(&mut *state.connection.db).await.during(DOING)
}

/// Overwrites the next free pages and returns the number left; `None` begins. At the end frees them again, and
/// truncates the write-ahead log if no reader uses it.
///
/// Events that were moved out of the journal stay in free pages. SQLite reuses the last freed pages first, so a
/// journal's are among the first.
pub(super) async fn scrub(state: &mut WriterState, left: Option<i64>) -> Result<Option<i64>, StoreError> {
    let left = match left {
        Some(left) => left,
        None => {
            give_back(state).await?;
            let free: i64 = sqlx::query_scalar("SELECT freelist_count FROM pragma_freelist_count")
                .fetch_one(&mut *state.connection.db)
                .await
                .during(DOING)?;
            free.min(MOST_SCRUBBED)
        }
    };
    let pages = left.min(SCRUBBED_AT_ONCE);
    // As long as it takes to fill each page to its end: what SQLite has in the row itself (at least `minLocal` of its
    // file format, and a little more) is not counted. The table needs a page or two beside them, by which the file may
    // grow.
    if pages > 0 {
        let mut transaction = StateTransaction::begin(state).await?;
        sqlx::query(
            "INSERT INTO audit_postings(n, field, part, first, body) \
             SELECT -1, 0, coalesce(max(part), 0) + 1, x'', \
             zeroblob((SELECT ?1 * (page_size - 4) + (page_size - 12) * 32 / 255 + 41 FROM pragma_page_size)) \
             FROM audit_postings WHERE n = -1",
        )
        .bind(pages)
        .execute(&mut *transaction.connection.db)
        .await
        .during(DOING)?;
        transaction.commit().await?;
        return Ok(Some(left - pages));
    }
    give_back(state).await?;
    // Readers are not waited for: then the log is used again from its beginning, as always.
    state.connection.set_busy_timeout(CHECKPOINT_WAIT).await?;
    // With a removed index it would empty the log of another one.
    state.connection.check_before().await?;
    pragma(state, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
    state.connection.set_busy_timeout(POLLS).await?;
    let done = "DELETE FROM audit_postings WHERE n = -1";
    state.connection.execute_locking(done).await.during(DOING)?;
    Ok(None)
}

/// Frees the overwritten pages. The note stays.
async fn give_back(state: &mut WriterState) -> Result<(), StoreError> {
    state.connection.execute_locking("DELETE FROM audit_postings WHERE n = -1 AND part > 0").await.during(DOING)
}

/// Deletes some of the postings that nothing reads any more, and drops segments that had only those left. Returns true if
/// there may be more.
pub(super) async fn delete_stale(state: &mut WriterState) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let segments = segment::load(&mut transaction.connection.db).await?;
    let mut left = POSTINGS_AT_ONCE;
    for kept in segments.iter().filter(|kept| kept.has_stale_postings()) {
        left -= segment::delete_postings(&mut transaction.connection.db, kept.n, left).await?.min(left);
        if left == 0 {
            break;
        }
        if kept.state == SegmentState::Dropping && !has_rows(&mut transaction, kept.n).await? {
            drop_empty(&mut transaction, kept.n).await?;
        }
    }
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    transaction.commit().await?;
    Ok(left == 0)
}

async fn drop_empty(state: &mut WriterState, n: i64) -> Result<(), StoreError> {
    if segment::drop_empty(&mut state.connection.db, n).await? {
        events_view::refresh(&mut state.connection.db).await?;
    }
    Ok(())
}

/// Deletes rows of a wholly old segment. Its table is dropped with the last row.
async fn delete_segment_rows(state: &mut WriterState, kept: &Segment, at_most: i64) -> Result<u64, StoreError> {
    let Segment { n, .. } = *kept;
    if kept.state != SegmentState::Dropping {
        segment::begin_dropping(&mut state.connection.db, n).await?;
    }
    let sql =
        format!("DELETE FROM audit_segment_{n} WHERE seq IN (SELECT seq FROM audit_segment_{n} ORDER BY seq LIMIT ?1)");
    let gone = sqlx::query(AssertSqlSafe(sql))
        .bind(at_most)
        .execute(&mut *state.connection.db)
        .await
        .during(DOING)?
        .rows_affected();
    if is_exhausted(state, n, gone, at_most).await? {
        drop_empty(state, n).await?;
    } else {
        sqlx::query("UPDATE audit_segments SET events_n = events_n - ?2 WHERE n = ?1")
            .bind(n)
            .bind(i64::try_from(gone).unwrap_or(i64::MAX))
            .execute(&mut *state.connection.db)
            .await
            .during(DOING)?;
    }
    Ok(gone)
}

/// Deletes old rows of a segment that has newer ones too.
async fn delete_rows(state: &mut WriterState, kept: &Segment, before: i64, at_most: i64) -> Result<u64, StoreError> {
    let Segment { n, .. } = *kept;
    let sql = format!(
        "DELETE FROM audit_segment_{n} WHERE seq IN \
         (SELECT seq FROM audit_segment_{n} WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)"
    );
    let gone = sqlx::query(AssertSqlSafe(sql))
        .bind(before)
        .bind(at_most)
        .execute(&mut *state.connection.db)
        .await
        .during(DOING)?
        .rows_affected();
    if gone > 0 {
        if is_exhausted(state, n, gone, at_most).await? {
            drop_empty(state, n).await?;
            return Ok(gone);
        }
        if kept.has_index() {
            segment::set_unindexed(&mut state.connection.db, n).await?;
        }
    }
    // The first event that is left says whether more of the segment is old.
    segment::set_fewer(&mut state.connection.db, n, gone).await?;
    // If there were fewer than it may remove, none is left that is old.
    let sql = format!("SELECT EXISTS (SELECT 1 FROM audit_segment_{n} WHERE created_at < ?1)");
    if gone < u64::try_from(at_most).unwrap_or(0)
        && sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(before)
            .fetch_one(&mut *state.connection.db)
            .await
            .during(DOING)?
    {
        return Err(discarded(DOING));
    }
    Ok(gone)
}

/// Returns true if the table has no row left, whatever the list counts.
async fn is_exhausted(state: &mut WriterState, n: i64, gone: u64, at_most: i64) -> Result<bool, StoreError> {
    let is_left = has_rows(state, n).await?;
    // Rows that should have gone are there: the purge would come back to them again and again.
    if is_left && gone == 0 && at_most > 0 { Err(discarded(DOING)) } else { Ok(!is_left) }
}

async fn has_rows(state: &mut WriterState, n: i64) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM audit_segment_{n})");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *state.connection.db).await.during(DOING)
}

/// The largest number of free pages to overwrite: more than a journal has.
const MOST_SCRUBBED: i64 = 32 * 1024;
const SCRUBBED_AT_ONCE: i64 = 512;
const CHECKPOINT_WAIT: Duration = Duration::from_millis(20);
const DOING: &str = "purge";
