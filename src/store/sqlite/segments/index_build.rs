//! Building the index of a segment that has none, from its rows.
//!
//! A step reads a chunk of the rows and inserts the part of the index that compaction would have inserted with them. So
//! its bytes are bounded however long the values are. The number of the next row is in the list of segments.

use std::borrow::Cow;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::chunk_postings::{self, ChunkPostings};
use super::row_set::MAX_ROWS;
use super::segment::{self, POSTINGS_AT_ONCE, Segment};
use super::segment_row::{self, COLUMNS, EVENT};
use super::terms::TermKey;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;

/// Builds the index of the next rows, inside a transaction. Returns true if there was none left.
pub(crate) async fn build_chunk(db: &mut SqliteConnection, segment: &Segment) -> Result<bool, StoreError> {
    let n = segment.n;
    if segment.merged == 0 {
        // Those of the index that the segment had.
        if segment::delete_postings(db, n, POSTINGS_AT_ONCE).await? > 0 {
            return Ok(false);
        }
        if !has_row_numbers(db, n).await? {
            sqlx::query("UPDATE audit_segments SET merged = -1 WHERE n = ?1")
                .bind(n)
                .execute(db)
                .await
                .during(DOING)?;
            return Ok(false);
        }
    }
    let rows = next_rows(db, segment).await?;
    let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { return Ok(true) };
    let key = TermKey::load(&mut *db).await?;
    let texts: Vec<Cow<'_, str>> = rows
        .iter()
        .map(|(_, row)| Ok(segment_row::lossy(row, EVENT)?.unwrap_or_default()))
        .collect::<Result<_, StoreError>>()?;
    let mut part = ChunkPostings::new(&key);
    for ((seq, row), text) in rows.iter().zip(&texts) {
        part.add(&segment_row::columns_of(row)?.with_values_of(text), *seq);
    }
    // Chunk 0 is the merged one.
    let index = part.into_index();
    let terms = index.terms_n();
    chunk_postings::insert(db, n, i64::from(*first) + 1, index.into_blocks()).await?;
    sqlx::query("UPDATE audit_segments SET merged = ?2, terms_n = terms_n + ?3 WHERE n = ?1")
        .bind(n)
        .bind(i64::from(*last) + 1)
        .bind(i64::try_from(terms).unwrap_or(i64::MAX))
        .execute(db)
        .await
        .during(DOING)?;
    Ok(false)
}

/// Returns true if the index can name every row.
async fn has_row_numbers(db: &mut SqliteConnection, n: i64) -> Result<bool, StoreError> {
    let sql = format!("SELECT coalesce(max(seq) < {MAX_ROWS} AND min(seq) >= 0, true) FROM audit_segment_{n}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.during(DOING)
}

/// Returns the next rows, each with its number.
async fn next_rows(db: &mut SqliteConnection, segment: &Segment) -> Result<Vec<(u32, SqliteRow)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, seq FROM audit_segment_{} WHERE seq >= ?1 ORDER BY seq LIMIT {CHUNK_ROWS}",
        segment.n
    );
    let mut found = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(segment.merged).fetch(db);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < CHUNK_BYTES
        && let Some(row) = found.try_next().await.during(DOING)?
    {
        bytes += row.try_get::<Option<&[u8]>, _>(EVENT).during(DOING)?.map_or(0, <[u8]>::len);
        let seq: i64 = row.try_get(EVENT + 1).during(DOING)?;
        rows.push((u32::try_from(seq).unwrap_or(u32::MAX), row));
    }
    Ok(rows)
}

const DOING: &str = "indexing";
const CHUNK_ROWS: usize = 512;
/// The bytes of events from which a chunk takes no further row.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
