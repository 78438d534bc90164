//! Removing what is old, a little at a time.
//!
//! Each step is one transaction that holds the write lock for some milliseconds. A step leaves the file whole, so a
//! purge that is killed goes on with the next call, in whatever process.

use sqlx::AssertSqlSafe;

use super::append::{begin, commit};
use super::backlog;
use super::connection::Connection;
use super::error::Doing as _;
use super::mover::{CHUNK_EVENTS, move_rows};
use super::segment::{self, Segment, State};
use crate::store::{Purged, StoreError};

/// Moves a chunk of the journal's rows into segments if any of its events is old, and says whether it did. Rows
/// between them move too, so that what is left of the journal is its newest part.
pub(super) async fn move_old(connection: &mut Connection, before: i64) -> Result<bool, StoreError> {
    begin(&mut connection.db).await?;
    let old: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM audit_journal WHERE events_n > 0 AND min_at < ?1")
        .bind(before)
        .fetch_one(&mut *connection.db)
        .await
        .doing(DOING)?;
    if let Some(old) = old {
        backlog::sync(connection).await?;
        if old == connection.backlog.last_seq {
            // The last row stays, so it must be another: one without an event.
            sqlx::query("INSERT INTO audit_journal VALUES (?1 + 1, 0, 0, 0, x'', x'', '[]')")
                .bind(old)
                .execute(&mut *connection.db)
                .await
                .doing(DOING)?;
            connection.backlog.push(old + 1, Vec::new(), 0);
        }
        let chunk = connection.backlog.oldest(CHUNK_EVENTS).unwrap_or(old);
        move_rows(connection, chunk.min(old)).await?;
    }
    commit(&mut connection.db).await?;
    Ok(old.is_some())
}

/// Removes up to `at_most` old events from the segments.
pub(super) async fn remove(connection: &mut Connection, before: i64, at_most: usize) -> Result<Purged, StoreError> {
    begin(&mut connection.db).await?;
    let segments = segment::load(&mut connection.db).await?;
    let mut left = i64::try_from(at_most).unwrap_or(i64::MAX);
    let mut removed = 0;
    for kept in segments.iter().filter(|kept| kept.first_at < before) {
        if left <= 0 {
            break;
        }
        // An earlier purge that was stopped may have gone further than this one may.
        let gone = if kept.last_at < before {
            remove_whole(connection, kept, left).await?
        } else {
            remove_part(connection, kept, before, left).await?
        };
        removed += gone;
        left -= i64::try_from(gone).unwrap_or(i64::MAX);
    }
    connection.segments = segment::load(&mut connection.db).await?;
    commit(&mut connection.db).await?;
    Ok(Purged { removed, more: connection.segments.iter().any(|kept| kept.first_at < before) })
}

/// Removes rows of a segment that is wholly old. Its table goes with its last row.
async fn remove_whole(connection: &mut Connection, kept: &Segment, at_most: i64) -> Result<u64, StoreError> {
    let Segment { n, .. } = *kept;
    if kept.state != State::Dropping {
        segment::begin_dropping(&mut connection.db, n).await?;
    }
    let sql =
        format!("DELETE FROM audit_segment_{n} WHERE seq IN (SELECT seq FROM audit_segment_{n} ORDER BY seq LIMIT ?1)");
    let gone =
        sqlx::query(AssertSqlSafe(sql)).bind(at_most).execute(&mut *connection.db).await.doing(DOING)?.rows_affected();
    if gone >= kept.events_n {
        segment::drop_table(&mut connection.db, n).await?;
    } else {
        sqlx::query("UPDATE audit_segments SET events_n = events_n - ?2 WHERE n = ?1")
            .bind(n)
            .bind(i64::try_from(gone).unwrap_or(i64::MAX))
            .execute(&mut *connection.db)
            .await
            .doing(DOING)?;
    }
    Ok(gone)
}

/// Removes old rows of a segment that has newer ones too.
async fn remove_part(
    connection: &mut Connection,
    kept: &Segment,
    before: i64,
    at_most: i64,
) -> Result<u64, StoreError> {
    let Segment { n, .. } = *kept;
    if kept.state == State::Indexed || kept.merged != 0 {
        segment::set_bare(&mut connection.db, n).await?;
    }
    let sql = format!(
        "DELETE FROM audit_segment_{n} WHERE seq IN \
         (SELECT seq FROM audit_segment_{n} WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)"
    );
    let gone = sqlx::query(AssertSqlSafe(sql))
        .bind(before)
        .bind(at_most)
        .execute(&mut *connection.db)
        .await
        .doing(DOING)?
        .rows_affected();
    if gone >= kept.events_n {
        segment::drop_table(&mut connection.db, n).await?;
        return Ok(gone);
    }
    // Where the segment begins now is what says whether more of it is old.
    let sql = format!(
        "UPDATE audit_segments SET events_n = events_n - ?2, \
         first_at = coalesce((SELECT min(created_at) FROM audit_segment_{n}), last_at) WHERE n = ?1"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(n)
        .bind(i64::try_from(gone).unwrap_or(i64::MAX))
        .execute(&mut *connection.db)
        .await
        .doing(DOING)?;
    Ok(gone)
}

const DOING: &str = "purge";
