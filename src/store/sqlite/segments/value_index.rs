//! The index of each segment: for each field its values, and the rows that have them ([`postings`]).
//!
//! An index of SQLite's rewrites a page for nearly every event. So each chunk that is moved into a segment brings a *part*
//! of the index with it. It has blocks in the order of the values, and a lookup of one value reads one block of each chunk's.
//! Those of a full segment are merged into one, a part of the index at a time.

use std::borrow::Cow;
use std::iter::repeat;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::postings::{self, Block, Postings};
use super::row_set::MAX_ROWS;
use super::segment::{self, Segment, SegmentState};
use super::segment_row;
use super::terms::{self, TermKey, TermList};
use crate::query::Field;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::{BorrowedText, EventColumns, INDEX_PARTS, IndexPart, column_name};
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// The postings and the terms of a chunk: the part of a segment's index that comes with it.
#[derive(Debug)]
pub(crate) struct ChunkPostings<'a> {
    fields: [Postings<'a>; INDEX_PARTS.len()],
    terms: TermList,
    key: &'a TermKey,
}

impl<'a> ChunkPostings<'a> {
    pub(crate) fn new(key: &'a TermKey) -> Self {
        Self { fields: std::array::from_fn(|_| Postings::default()), terms: TermList::default(), key }
    }

    /// Adds an event that becomes this row.
    pub(crate) fn add(&mut self, event: &EventColumns<'a>, row: u32) {
        for (part, values) in INDEX_PARTS.into_iter().zip(&mut self.fields) {
            match part {
                IndexPart::Values(field) => add_values(values, event, field, row),
                IndexPart::Terms => self.terms.add(self.key, event, row),
            }
        }
    }

    /// Inserts the part inside a transaction, and returns the number of terms. `first` is the first of its rows.
    pub(crate) async fn insert(self, db: &mut SqliteConnection, n: i64, first: i64) -> Result<u64, StoreError> {
        let terms = self.terms.into_blocks(BLOCK_BYTES);
        let terms_n = terms.iter().map(|block| terms::count(&block.body)).sum();
        let fields = self.fields.into_iter().zip(INDEX_PARTS).filter(|(_, part)| *part != IndexPart::Terms);
        let blocks = fields.flat_map(|(values, part)| values.into_blocks(BLOCK_BYTES).into_iter().zip(repeat(part)));
        insert(db, n, first, blocks.chain(terms.into_iter().zip(repeat(IndexPart::Terms))).collect()).await?;
        Ok(terms_n)
    }
}

/// Adds a row to the values of a field.
fn add_values<'a>(values: &mut Postings<'a>, event: &EventColumns<'a>, field: Field, row: u32) {
    if field != Field::TargetType {
        return values.add(event.value(field), row);
    }
    let mut types = event.targets.types().cloned().peekable();
    if types.peek().is_none() {
        values.add(None, row);
    }
    types.for_each(|target_type| values.add(Some(target_type), row));
}

/// Deletes the index of a segment, inside a transaction.
pub(crate) async fn delete(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM audit_postings WHERE n = ?1").bind(n).execute(db).await.during(DOING)?;
    Ok(())
}

/// Returns the next segment whose index is not merged.
pub(crate) fn next_unmerged(segments: &[Segment]) -> Option<&Segment> {
    segments.iter().find(|segment| {
        segment.state != SegmentState::Dropping && !segment.has_room() && !segment.unmerged_parts().is_empty()
    })
}

/// Merges the next parts of one segment's index, as many as are small. Returns true if work is left.
///
/// The merged blocks are built without the lock, and then replace the parts only if the segment is unchanged.
pub(crate) async fn merge_next_parts(state: &mut WriterState) -> Result<bool, StoreError> {
    merge_parts(state, MERGED_AT_ONCE).await
}

/// Merges parts until their blocks have this many bytes.
pub(crate) async fn merge_parts(state: &mut WriterState, at_once: usize) -> Result<bool, StoreError> {
    let Some(segment) = next_unmerged(&state.segments).copied() else { return Ok(false) };
    let db = &mut *state.connection.db;
    let mut merged = Vec::new();
    let mut bytes = 0;
    for part in segment.unmerged_parts() {
        let blocks = match segment.state {
            SegmentState::Indexed => merge_chunks(db, segment.n, *part).await?,
            _ => build_from_rows(db, segment.n, *part).await?,
        };
        bytes += blocks.iter().flatten().map(|block| block.body.len()).sum::<usize>();
        merged.push((*part, blocks));
        // Building reads every row.
        if bytes >= at_once || segment.state != SegmentState::Indexed {
            break;
        }
    }
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    if transaction.segments.contains(&segment) {
        for (part, blocks) in merged {
            replace(&mut transaction.connection.db, segment, part, blocks).await?;
        }
        transaction.segments = segment::load(&mut transaction.connection.db).await?;
    }
    transaction.commit().await?;
    Ok(next_unmerged(&state.segments).is_some())
}

/// Replaces what came with the chunks by the blocks, inside a transaction. `None`: the segment has too many rows for an
/// index.
async fn replace(
    db: &mut SqliteConnection,
    segment: Segment,
    part: IndexPart,
    blocks: Option<Vec<Block>>,
) -> Result<(), StoreError> {
    let n = segment.n;
    let Some(blocks) = blocks else {
        sqlx::query("UPDATE audit_segments SET merged = -1 WHERE n = ?1").bind(n).execute(db).await.during(DOING)?;
        return Ok(());
    };
    sqlx::query("DELETE FROM audit_postings WHERE n = ?1 AND field = ?2")
        .bind(n)
        .bind(part.number())
        .execute(&mut *db)
        .await
        .during(DOING)?;
    if part == IndexPart::Terms {
        let terms: u64 = blocks.iter().map(|block| terms::count(&block.body)).sum();
        sqlx::query("UPDATE audit_segments SET terms_n = ?2 WHERE n = ?1")
            .bind(n)
            .bind(i64::try_from(terms).unwrap_or(i64::MAX))
            .execute(&mut *db)
            .await
            .during(DOING)?;
    }
    insert(db, n, 0, blocks.into_iter().zip(repeat(part)).collect()).await?;
    sqlx::query("UPDATE audit_segments SET merged = merged + 1 WHERE n = ?1")
        .bind(n)
        .execute(&mut *db)
        .await
        .during(DOING)?;
    if segment.state == SegmentState::Unindexed && INDEX_PARTS.last() == Some(&part) {
        segment::set_indexed(db, n).await?;
    }
    Ok(())
}

/// Inserts blocks of a part, inside of a transaction.
async fn insert(
    db: &mut SqliteConnection,
    n: i64,
    chunk: i64,
    blocks: Vec<(Block, IndexPart)>,
) -> Result<(), StoreError> {
    let mut rest = blocks.as_slice();
    for shape in SHAPES {
        while rest.len() >= shape {
            let (now, later) = rest.split_at(shape);
            let rows = "(?,?,?,?,?),".repeat(shape);
            let sql = format!(
                "INSERT INTO audit_postings(n, field, part, first, body) VALUES {}",
                rows.trim_end_matches(',')
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (Block { first, body }, part) in now {
                query = query.bind(n).bind(part.number()).bind(chunk).bind(first.as_slice()).bind(body.as_slice());
            }
            query.execute(&mut *db).await.during(DOING)?;
            rest = later;
        }
    }
    Ok(())
}

/// Merges what came with the chunks.
async fn merge_chunks(db: &mut SqliteConnection, n: i64, part: IndexPart) -> Result<Option<Vec<Block>>, StoreError> {
    let bodies: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM audit_postings WHERE n = ?1 AND field = ?2 ORDER BY part, first")
            .bind(n)
            .bind(part.number())
            .fetch_all(db)
            .await
            .during(DOING)?;
    if part == IndexPart::Terms {
        let mut all = TermList::default();
        for body in &bodies {
            all.add_block(body).during(DOING)?;
        }
        return Ok(Some(all.into_blocks(BLOCK_BYTES)));
    }
    let mut all: Postings<'_> = Postings::default();
    for body in &bodies {
        postings::read(body, |value, rows| rows.each(|row| all.add(value.map(Into::into), row))).during(DOING)?;
    }
    Ok(Some(all.into_blocks(BLOCK_BYTES)))
}

/// Builds the blocks from the rows; `None` if those are too many.
async fn build_from_rows(db: &mut SqliteConnection, n: i64, part: IndexPart) -> Result<Option<Vec<Block>>, StoreError> {
    let sql = format!("SELECT coalesce(max(seq) < {MAX_ROWS} AND min(seq) >= 0, true) FROM audit_segment_{n}");
    let are_rows: bool = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *db).await.during(DOING)?;
    if !are_rows {
        return Ok(None);
    }
    let column = match part {
        IndexPart::Values(field) => column_name(field),
        IndexPart::Terms => None,
    };
    let Some(column) = column else { return build_from_events(db, n, part).await };
    // One row out of SQLite: each costs a crossing of threads.
    let sql = format!(
        "SELECT json_group_array(json_array(seq, CAST({column} AS TEXT))) \
         FROM (SELECT seq, {column} FROM audit_segment_{n} ORDER BY seq)"
    );
    let rows: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.during(DOING)?;
    let rows: Vec<(u32, Option<BorrowedText<'_>>)> = serde_json::from_str(&rows).during(DOING)?;
    let mut all: Postings<'_> = Postings::default();
    rows.into_iter().for_each(|(row, value)| all.add(value.map(|text| text.0), row));
    Ok(Some(all.into_blocks(BLOCK_BYTES)))
}

/// Builds the blocks from the texts of the events.
async fn build_from_events(
    db: &mut SqliteConnection,
    n: i64,
    part: IndexPart,
) -> Result<Option<Vec<Block>>, StoreError> {
    let key = TermKey::load(&mut *db).await?;
    let (mut values, mut terms) = (Postings::<'static>::default(), TermList::default());
    segment_row::scan(db, n, "true", |row, event, _| match part {
        IndexPart::Terms => terms.add(&key, event, row),
        IndexPart::Values(field) => add_owned_values(&mut values, event, field, row),
    })
    .await?;
    Ok(Some(match part {
        IndexPart::Terms => terms.into_blocks(BLOCK_BYTES),
        IndexPart::Values(_) => values.into_blocks(BLOCK_BYTES),
    }))
}

/// Adds a row to the values of a field, which outlive the event.
fn add_owned_values(values: &mut Postings<'static>, event: &EventColumns<'_>, field: Field, row: u32) {
    let owned: Vec<String> = match field {
        Field::TargetType => event.targets.types().map(|target_type| target_type.to_string()).collect(),
        _ => event.value(field).map(Cow::into_owned).into_iter().collect(),
    };
    if owned.is_empty() {
        values.add(None, row);
    }
    owned.into_iter().for_each(|value| values.add(Some(value.into()), row));
}

const DOING: &str = "indexing";
/// Two of them to a page.
const BLOCK_BYTES: usize = 1800;
/// The size of the blocks from which a step has merged enough: some milliseconds of work.
const MERGED_AT_ONCE: usize = 64 * 1024;
const SHAPES: [usize; 3] = [64, 8, 1];
