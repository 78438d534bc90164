//! The list of segments against the segments: entries that somebody has changed, and segments that nobody lists.
//!
//! An entry bounds and counts the events of its segment. Changed bounds hide events from readers, a changed number makes counts
//! wrong. The rows say what the entry has to be.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::row_set::MAX_ROWS;
use super::segment::{self, SEGMENT_EVENTS, SegmentState};
use crate::event::Timestamp;
use crate::log_lines::log_line;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::INDEX_PARTS;
use crate::store::sqlite::untrusted_columns::is_span;

/// Returns the segments whose entry contradicts their rows, and those without an entry or without rows.
pub(crate) async fn find_contradicting(db: &mut SqliteConnection) -> Result<BTreeSet<i64>, StoreError> {
    let tables = segment::tables(db).await?;
    let listed: Vec<i64> =
        sqlx::query_scalar("SELECT n FROM audit_segments").fetch_all(&mut *db).await.during(DOING)?;
    let mut found: BTreeSet<i64> = tables.iter().copied().filter(|n| !listed.contains(n)).collect();
    for n in listed {
        if !tables.contains(&n) || !is_right(db, n).await? {
            found.insert(n);
        }
    }
    Ok(found)
}

/// Returns true if the entry of a segment bounds and counts its rows, and the segment has the indexes of its state.
async fn is_right(db: &mut SqliteConnection, n: i64) -> Result<bool, StoreError> {
    let Rows { events_n, first_at, last_at, min_id, max_id, first_seq, last_seq } = Rows::of(db, n).await?;
    let sql = format!(
        "SELECT state IN (0, 1, 2) AND (SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name IN \
         ('audit_segment_{n}_id', 'audit_segment_{n}_time')) = CASE state WHEN 1 THEN 0 ELSE 2 END, \
         events_n = ?1 AND {} AND first_at <= ?2 AND last_at >= ?3 AND typeof(min_id) = 'blob' AND typeof(max_id) = 'blob' \
         AND min_id <= ?4 AND max_id >= ?5 AND merged BETWEEN -1 AND CASE state WHEN 0 THEN {MAX_ROWS} ELSE {} END AND typeof(terms_n) = 'integer' AND terms_n >= 0, \
         state = 2 AND merged = 0 AND events_n < {SEGMENT_EVENTS} FROM audit_segments WHERE n = {n}",
        is_span!("first_at", "last_at"),
        INDEX_PARTS.len(),
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(events_n)
        .bind(first_at)
        .bind(last_at)
        .bind(min_id)
        .bind(max_id)
        .fetch_one(db)
        .await
        .during(DOING)?;
    let is = |column: usize| row.try_get::<Option<bool>, _>(column).during(DOING).map(|is| is == Some(true));
    let are_rows = first_seq > 0 && last_seq < i64::from(MAX_ROWS);
    // The rows of a segment with room are numbered without a gap.
    let is_numbered = last_seq == events_n || !is(2)?;
    Ok(events_n > 0 && is(0)? && is(1)? && are_rows && is_numbered)
}

/// The entry that a segment's rows make.
#[derive(Debug)]
struct Rows {
    events_n: i64,
    first_at: i64,
    last_at: i64,
    min_id: Vec<u8>,
    max_id: Vec<u8>,
    first_seq: i64,
    last_seq: i64,
}

impl Rows {
    /// Reads the bounds over the indexes. A time or an id that is none has no part in them: readers look for those apart.
    async fn of(db: &mut SqliteConnection, n: i64) -> Result<Self, StoreError> {
        let of = |what: &str, condition: &str| format!("(SELECT {what} FROM audit_segment_{n} WHERE {condition})");
        let years = format!("BETWEEN {} AND {}", Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
        let (at, id) = (
            format!("typeof(created_at) = 'integer' AND created_at {years}"),
            "typeof(event_id) = 'blob' AND length(event_id) = 16",
        );
        let sql = format!(
            "SELECT {}, coalesce({}, 0), coalesce({}, 0), coalesce({}, x''), coalesce({}, x''), coalesce({}, 0), coalesce({}, 0)",
            of("count(*)", "true"),
            of("min(created_at)", &at),
            of("max(created_at)", &at),
            of("min(event_id)", id),
            of("max(event_id)", id),
            of("min(seq)", "true"),
            of("max(seq)", "true"),
        );
        let row = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(db).await.during(DOING)?;
        let number = |column: usize| row.try_get::<i64, _>(column).during(DOING);
        let id = |column: usize| row.try_get::<Vec<u8>, _>(column).during(DOING);
        Ok(Self {
            events_n: number(0)?,
            first_at: number(1)?,
            last_at: number(2)?,
            min_id: id(3)?,
            max_id: id(4)?,
            first_seq: number(5)?,
            last_seq: number(6)?,
        })
    }
}

/// Makes the entries of these segments anew from their rows, inside a transaction. Their indexes are built again.
pub(crate) async fn repair(db: &mut SqliteConnection, segments: &BTreeSet<i64>) -> Result<(), StoreError> {
    for n in segments {
        let claimed: Option<i64> =
            sqlx::query_scalar("SELECT CAST(events_n AS INTEGER) FROM audit_segments WHERE n = ?1")
                .bind(n)
                .fetch_optional(&mut *db)
                .await
                .during(DOING)?
                .flatten();
        let n = *n;
        let mut events_n = 0;
        if n > 0 {
            segment::create(db, n).await?;
            renumber(db, n).await?;
            events_n = make_entry(db, n).await?;
            if events_n == 0 {
                segment::drop_table(db, n).await?;
            }
        } else {
            // No table has such a number.
            sqlx::query("DELETE FROM audit_segments WHERE n = ?1").bind(n).execute(&mut *db).await.during(DOING)?;
        }
        log_line(move || {
            tracing::warn!(
                segment = n,
                claimed,
                events = events_n,
                "the list of segments of the audit log contradicted its events, and was made anew from them"
            );
        });
    }
    Ok(())
}

async fn make_entry(db: &mut SqliteConnection, n: i64) -> Result<i64, StoreError> {
    let Rows { events_n, first_at, last_at, min_id, max_id, .. } = Rows::of(db, n).await?;
    sqlx::query("INSERT OR REPLACE INTO audit_segments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)")
        .bind(n)
        .bind(first_at)
        .bind(last_at)
        .bind(min_id)
        .bind(max_id)
        .bind(events_n)
        .bind(SegmentState::Unindexed.number())
        .execute(&mut *db)
        .await
        .during(DOING)?;
    segment::set_unindexed(db, n).await?;
    Ok(events_n)
}

/// Gives rows with a number that none can have one that is free. The number is no part of an event; the index, which names
/// rows by it, is built anew.
async fn renumber(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    let sql = format!("SELECT seq FROM audit_segment_{n} WHERE seq NOT BETWEEN 1 AND {}", MAX_ROWS - 1);
    let wrong: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *db).await.during(DOING)?;
    if wrong.is_empty() {
        return Ok(());
    }
    let sql = format!("SELECT seq FROM audit_segment_{n} WHERE seq BETWEEN 1 AND {}", MAX_ROWS - 1);
    let taken: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *db).await.during(DOING)?;
    let taken: BTreeSet<i64> = taken.into_iter().collect();
    for (wrong, free) in wrong.iter().zip((1..i64::from(MAX_ROWS)).filter(|seq| !taken.contains(seq))) {
        let sql = format!("UPDATE audit_segment_{n} SET seq = ?2 WHERE seq = ?1");
        sqlx::query(AssertSqlSafe(sql)).bind(wrong).bind(free).execute(&mut *db).await.during(DOING)?;
    }
    Ok(())
}

/// Returns true if a segment has as many rows as its entry says, by whose number the next ones are numbered.
pub(crate) async fn is_numbered(db: &mut SqliteConnection, n: i64, events_n: u64) -> Result<bool, StoreError> {
    let sql = format!("SELECT coalesce(max(seq), 0) FROM audit_segment_{n}");
    let last: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.during(DOING)?;
    Ok(u64::try_from(last) == Ok(events_n))
}

const DOING: &str = "checking the list of segments";
