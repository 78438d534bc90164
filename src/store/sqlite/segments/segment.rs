//! The indexed tables that events end up in, `audit_segment_N`, and the list of them.
//!
//! A segment is small: the indexes of the one that grows stay in the cache, and a purge drops whole tables.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, permanent};
use crate::store::sqlite::event_columns::{INDEX_PARTS, IndexPart};
use crate::store::sqlite::id_blob::id_of;
use crate::store::sqlite::untrusted_columns::{span_begin, span_end};

/// The capacity of a segment.
pub(crate) const SEGMENT_EVENTS: u64 = 32 * 1024;

/// A row of the list of segments. The bounds may be wider than the events in it, never narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) n: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) min_id: u128,
    pub(crate) max_id: u128,
    pub(crate) events_n: u64,
    pub(crate) state: SegmentState,
    /// The number of merged parts of its index. Without an index, the number of the row from which it is still to be built; 0
    /// before that begins, when postings of an earlier index may be left. Negative for a segment with too many rows for an index.
    pub(crate) merged: i64,
    /// The number of terms in its index.
    pub(crate) terms_n: u64,
}

/// The state of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentState {
    /// Without an index of its fields: a purge has deleted some of its rows, or the index was damaged. Takes no more events.
    Unindexed,
    /// A purge has dropped its indexes and deletes its rows. Takes no more events.
    Dropping,
    /// With an exact index. Takes events while it has room.
    Indexed,
}

impl SegmentState {
    fn of_number(number: i64) -> Self {
        match number {
            1 => Self::Dropping,
            2 => Self::Indexed,
            // A number that is none: nothing is relied upon.
            _ => Self::Unindexed,
        }
    }

    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Unindexed => 0,
            Self::Dropping => 1,
            Self::Indexed => 2,
        }
    }
}

impl Segment {
    /// A segment without an event.
    pub(crate) fn empty(n: i64) -> Self {
        Self {
            n,
            first_at: i64::MAX,
            last_at: i64::MIN,
            min_id: u128::MAX,
            max_id: 0,
            events_n: 0,
            state: SegmentState::Indexed,
            merged: 0,
            terms_n: 0,
        }
    }

    /// Returns true if the id lies within the segment's bounds.
    pub(crate) fn may_contain(&self, id: u128) -> bool {
        self.min_id <= id && id <= self.max_id
    }

    pub(crate) fn has_room(&self) -> bool {
        self.state == SegmentState::Indexed && self.merged == 0 && self.events_n < SEGMENT_EVENTS
    }

    /// Returns true if the segment has an index of its fields that readers use, or a beginning of one.
    pub(crate) fn has_index(&self) -> bool {
        match self.state {
            SegmentState::Indexed => true,
            // It has no index of times, and is never indexed again.
            SegmentState::Dropping => false,
            SegmentState::Unindexed => self.merged != 0,
        }
    }

    /// Returns true if nothing reads the postings that it may have.
    pub(crate) fn has_stale_postings(&self) -> bool {
        !self.has_index()
    }

    /// The parts of the index that are not merged yet, in their order.
    pub(crate) fn unmerged_parts(&self) -> &'static [IndexPart] {
        usize::try_from(self.merged).ok().and_then(|merged| INDEX_PARTS.get(merged..)).unwrap_or_default()
    }
}

/// Every segment, oldest first.
pub(crate) async fn load(db: &mut SqliteConnection) -> Result<Vec<Segment>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(select("ORDER BY n"))).fetch_all(db).await.during(LISTING)?;
    rows.iter().map(|row| of_row(row).during(LISTING)).collect()
}

/// Returns the newest segment.
pub(crate) async fn newest(db: &mut SqliteConnection) -> Result<Option<Segment>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(select("ORDER BY n DESC LIMIT 1"))).fetch_optional(db).await.during(LISTING)?;
    row.map(|row| of_row(&row).during(LISTING)).transpose()
}

fn select(which: &str) -> String {
    format!(
        "SELECT n, {FIRST_AT}, {LAST_AT}, CAST(min_id AS BLOB), CAST(max_id AS BLOB), {EVENTS_N}, \
         CAST(coalesce(state, 0) AS INTEGER), CAST(coalesce(merged, 0) AS INTEGER), CAST(coalesce(terms_n, 0) AS INTEGER) \
         FROM audit_segments {which}"
    )
}

fn of_row(row: &SqliteRow) -> Result<Segment, sqlx::Error> {
    let id = |column| row.try_get::<Option<&[u8]>, _>(column).map(|id| id.and_then(|id| id_of(id).ok()));
    let (min_id, max_id) = match (id(3)?, id(4)?) {
        (Some(min), Some(max)) if min <= max => (min, max),
        // Ids that are none, or contradict each other, bound nothing.
        _ => (0, u128::MAX),
    };
    Ok(Segment {
        n: row.try_get(0)?,
        first_at: row.try_get(1)?,
        last_at: row.try_get(2)?,
        min_id,
        max_id,
        events_n: u64::try_from(row.try_get::<i64, _>(5)?).unwrap_or(0),
        state: SegmentState::of_number(row.try_get(6)?),
        merged: row.try_get(7)?,
        terms_n: u64::try_from(row.try_get::<i64, _>(8)?).unwrap_or(0),
    })
}

/// Returns the numbers of the segments that have a table.
pub(crate) async fn tables(db: &mut SqliteConnection) -> Result<BTreeSet<i64>, StoreError> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT substr(name, 15) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'audit_segment_[1-9]*'",
    )
    .fetch_all(db)
    .await
    .during(LISTING)?;
    // Another name of an app's table is no number as this crate writes it.
    let numbers = names.iter().filter_map(|name| name.parse::<i64>().ok().filter(|n| n.to_string() == *name));
    Ok(numbers.collect())
}

/// Returns the number after those of all segments, inside a transaction.
pub(crate) async fn next_number(db: &mut SqliteConnection) -> Result<i64, StoreError> {
    let listed: Option<i64> =
        sqlx::query_scalar("SELECT max(n) FROM audit_segments").fetch_one(&mut *db).await.during(LISTING)?;
    // A table that somebody has taken off the list is none to write into.
    let last = tables(db).await?.last().copied().max(listed).unwrap_or(0);
    last.max(0).checked_add(1).ok_or_else(|| {
        permanent(LISTING)
            .with_hint("the list of segments has the greatest of all numbers: `tower-audit migrate` makes it anew")
    })
}

/// Creates the table and its indexes if they are missing. SQLite indexes only the time, which is nearly ascending, and
/// the id, which has to be unique.
pub(crate) async fn create(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS audit_segment_{n}(
            seq INTEGER PRIMARY KEY, event_id BLOB NOT NULL, created_at INTEGER NOT NULL, event_type TEXT NOT NULL,
            phase TEXT NOT NULL, user_email TEXT, remote_addr TEXT, route TEXT, outcome INTEGER, event TEXT NOT NULL);
        CREATE UNIQUE INDEX IF NOT EXISTS audit_segment_{n}_id ON audit_segment_{n}(event_id);
        CREATE INDEX IF NOT EXISTS audit_segment_{n}_time ON audit_segment_{n}(created_at);"
    );
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(db).await.during("making a segment")?;
    Ok(())
}

/// Counts events that were deleted, and sets the times of the first and the last that are left, inside a transaction.
pub(crate) async fn set_fewer(db: &mut SqliteConnection, n: i64, deleted: u64) -> Result<(), StoreError> {
    let left = |which: &str| {
        format!(
            "coalesce((SELECT {which}(created_at) FROM audit_segment_{n} WHERE typeof(created_at) = 'integer'), {LAST_AT})"
        )
    };
    let sql = format!(
        "UPDATE audit_segments SET events_n = events_n - ?2, first_at = {}, last_at = {} WHERE n = ?1",
        left("min"),
        left("max")
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(n)
        .bind(i64::try_from(deleted).unwrap_or(i64::MAX))
        .execute(db)
        .await
        .during("purge")?;
    Ok(())
}

/// Marks the index of the fields as exact. None of its parts is merged.
pub(crate) async fn set_indexed(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE audit_segments SET state = 2, merged = 0 WHERE n = ?1")
        .bind(n)
        .execute(db)
        .await
        .during("indexing")?;
    Ok(())
}

/// Gives up the index of the fields. Its [postings](delete_postings) are left.
pub(crate) async fn set_unindexed(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    let sql = "UPDATE audit_segments SET state = 0, merged = 0, terms_n = 0 WHERE n = ?1";
    sqlx::query(sql).bind(n).execute(db).await.during("indexing")?;
    Ok(())
}

/// Deletes some postings of a segment, and returns their number. They may be hundreds of megabytes, so a transaction
/// deletes [`POSTINGS_AT_ONCE`].
pub(crate) async fn delete_postings(db: &mut SqliteConnection, n: i64, at_most: u64) -> Result<u64, StoreError> {
    let sql = "DELETE FROM audit_postings WHERE id IN (SELECT id FROM audit_postings WHERE n = ?1 LIMIT ?2)";
    let done = sqlx::query(sql).bind(n).bind(i64::try_from(at_most).unwrap_or(i64::MAX)).execute(db).await;
    Ok(done.during("indexing")?.rows_affected())
}

/// Drops the indexes, so that the rows can go without a write to any of them. Its [postings](delete_postings) are left.
pub(crate) async fn begin_dropping(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    let sql = format!(
        "DROP INDEX IF EXISTS audit_segment_{n}_id; DROP INDEX IF EXISTS audit_segment_{n}_time;
         UPDATE audit_segments SET state = 1 WHERE n = {n};"
    );
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(db).await.during("purge")?;
    Ok(())
}

/// Drops a segment without rows, or leaves that to [`delete_stale`](crate::store::sqlite::purge::delete_stale) if it has many
/// postings. Returns true if it is gone: then the caller makes the view of the events again.
pub(crate) async fn drop_empty(db: &mut SqliteConnection, n: i64) -> Result<bool, StoreError> {
    if delete_postings(db, n, POSTINGS_AT_ONCE).await? < POSTINGS_AT_ONCE {
        drop_table(db, n).await?;
        return Ok(true);
    }
    begin_dropping(db, n).await?;
    Ok(false)
}

/// Drops the table and deletes its list entry. The caller makes the view of the events again.
pub(crate) async fn drop_table(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    let sql = format!(
        "DROP TABLE IF EXISTS audit_segment_{n}; DELETE FROM audit_segments WHERE n = {n}; DELETE FROM audit_postings WHERE n = {n};"
    );
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(db).await.during("purge")?;
    Ok(())
}

/// The largest number of postings that a transaction deletes: 5 MB if their values are as long as can be.
pub(crate) const POSTINGS_AT_ONCE: u64 = 512;
const LISTING: &str = "listing the segments";

/// The number of a segment's events; negative if the column cannot be it.
pub(crate) const EVENTS_N: &str =
    "CASE WHEN typeof(events_n) = 'integer' AND events_n BETWEEN 1 AND 65535 THEN events_n ELSE -1 END";
pub(crate) const FIRST_AT: &str = span_begin!("first_at", "last_at");
pub(crate) const LAST_AT: &str = span_end!("first_at", "last_at");
