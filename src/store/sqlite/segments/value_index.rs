//! The index of each segment: for each field its values, and the rows that have them ([`postings`]).
//!
//! An index of SQLite's rewrites a page for nearly every event. So each chunk that is moved into a segment brings a *part*
//! of the index with it. A part has blocks in the order of the values, and a lookup of one value reads one block of each
//! part. The parts of a full segment are merged into one, a field at a time.

use std::collections::HashMap;
use std::iter::repeat;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::postings::{self, Block, Postings};
use super::row_set::MAX_ROWS;
use super::segment::{self, Segment, SegmentState};
use crate::query::Field;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::{BorrowedText, EventColumns, INDEXED_FIELDS, column_name, field_number};
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// The postings of a chunk: the part of a segment's index that comes with it.
#[derive(Debug, Default)]
pub(crate) struct ChunkPostings<'a> {
    fields: [Postings<'a>; INDEXED_FIELDS.len()],
}

impl<'a> ChunkPostings<'a> {
    /// Adds an event that becomes this row.
    pub(crate) fn add(&mut self, event: &EventColumns<'a>, row: u32) {
        let values = [
            Some(event.event_type.clone()),
            event.actor.user_email.clone(),
            event.actor.remote_addr.clone(),
            event.resource.route.clone(),
            event.outcome.map(|outcome| outcome.to_string().into()),
            Some(event.phase.as_str().into()),
        ];
        self.fields.iter_mut().zip(values).for_each(|(field, value)| field.add(value, row));
    }

    /// Inserts the part inside a transaction. `first` is the first of its rows.
    pub(crate) async fn insert(self, db: &mut SqliteConnection, n: i64, first: i64) -> Result<(), StoreError> {
        let fields = self.fields.into_iter().zip(INDEXED_FIELDS);
        let blocks = fields.flat_map(|(values, field)| values.into_blocks(BLOCK_BYTES).into_iter().zip(repeat(field)));
        insert(db, n, first, blocks.collect()).await
    }
}

/// Deletes the index of a segment, inside a transaction.
pub(crate) async fn delete(db: &mut SqliteConnection, n: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM audit_postings WHERE n = ?1").bind(n).execute(db).await.during(DOING)?;
    Ok(())
}

/// Returns the next segment whose index is not merged.
pub(crate) fn next_unmerged(segments: &[Segment]) -> Option<&Segment> {
    segments
        .iter()
        .find(|segment| segment.state != SegmentState::Dropping && !segment.has_room() && segment.field().is_some())
}

/// Merges one field of one segment. Returns true if work is left.
///
/// The merged blocks are built without the lock, and then replace the parts only if the segment is unchanged.
pub(crate) async fn merge_next_field(state: &mut WriterState) -> Result<bool, StoreError> {
    let Some(segment) = next_unmerged(&state.segments).copied() else { return Ok(false) };
    let Some(field) = segment.field() else { return Ok(false) };
    let db = &mut *state.connection.db;
    let blocks = match segment.state {
        SegmentState::Indexed => merge_parts(db, segment.n, field).await?,
        _ => build_from_rows(db, segment.n, field).await?,
    };
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    if transaction.segments.contains(&segment) {
        replace(&mut transaction.connection.db, segment, field, blocks).await?;
        transaction.segments = segment::load(&mut transaction.connection.db).await?;
    }
    transaction.commit().await?;
    Ok(next_unmerged(&state.segments).is_some())
}

/// Replaces the parts by the blocks, inside a transaction. `None`: the segment has too many rows for an index.
async fn replace(
    db: &mut SqliteConnection,
    segment: Segment,
    field: Field,
    blocks: Option<Vec<Block>>,
) -> Result<(), StoreError> {
    let n = segment.n;
    let Some(blocks) = blocks else {
        sqlx::query("UPDATE audit_segments SET merged = -1 WHERE n = ?1").bind(n).execute(db).await.during(DOING)?;
        return Ok(());
    };
    sqlx::query("DELETE FROM audit_postings WHERE n = ?1 AND field = ?2")
        .bind(n)
        .bind(field_number(field))
        .execute(&mut *db)
        .await
        .during(DOING)?;
    insert(db, n, 0, blocks.into_iter().zip(repeat(field)).collect()).await?;
    sqlx::query("UPDATE audit_segments SET merged = merged + 1 WHERE n = ?1")
        .bind(n)
        .execute(&mut *db)
        .await
        .during(DOING)?;
    if segment.state == SegmentState::Unindexed && field_number(field) + 1 == INDEXED_FIELDS.len() as i64 {
        segment::set_indexed(db, n).await?;
    }
    Ok(())
}

/// Inserts blocks of a part, inside of a transaction.
async fn insert(db: &mut SqliteConnection, n: i64, part: i64, blocks: Vec<(Block, Field)>) -> Result<(), StoreError> {
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
            for (block, field) in now {
                let Block { first, body } = block;
                query =
                    query.bind(n).bind(field_number(*field)).bind(part).bind(first.as_slice()).bind(body.as_slice());
            }
            query.execute(&mut *db).await.during(DOING)?;
            rest = later;
        }
    }
    Ok(())
}

/// Merges the parts that came with the chunks.
async fn merge_parts(db: &mut SqliteConnection, n: i64, field: Field) -> Result<Option<Vec<Block>>, StoreError> {
    let parts: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM audit_postings WHERE n = ?1 AND field = ?2 ORDER BY part, first")
            .bind(n)
            .bind(field_number(field))
            .fetch_all(db)
            .await
            .during(DOING)?;
    let mut all: Postings<'_> = Postings::default();
    for part in &parts {
        postings::read(part, |value, rows| rows.each(|row| all.add(value.map(Into::into), row))).during(DOING)?;
    }
    Ok(Some(all.into_blocks(BLOCK_BYTES)))
}

/// Builds the blocks from the rows; `None` if those are too many.
async fn build_from_rows(db: &mut SqliteConnection, n: i64, field: Field) -> Result<Option<Vec<Block>>, StoreError> {
    let column = column_name(field);
    // One row out of SQLite: each costs a crossing of threads.
    let sql = format!(
        "SELECT coalesce(max(seq), 0), json_group_array(json_array(seq, CAST({column} AS TEXT))) \
         FROM (SELECT seq, {column} FROM audit_segment_{n} ORDER BY seq)"
    );
    let (last, rows): (i64, String) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(db).await.during(DOING)?;
    if last >= i64::from(MAX_ROWS) {
        return Ok(None);
    }
    let rows: Vec<(u32, Option<BorrowedText<'_>>)> = serde_json::from_str(&rows).during(DOING)?;
    let mut all: Postings<'_> = Postings::default();
    rows.into_iter().for_each(|(row, value)| all.add(value.map(|text| text.0), row));
    Ok(Some(all.into_blocks(BLOCK_BYTES)))
}

/// Returns the segments whose index does not list each of their events once for every field.
pub(crate) async fn find_damaged(db: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let segments = segment::load(&mut *db).await?;
    let mut listed: HashMap<(i64, i64), u64> = HashMap::new();
    let mut blocks = sqlx::query("SELECT n, field, body FROM audit_postings WHERE n > 0").fetch(db);
    while let Some(block) = blocks.try_next().await.during(DOING)? {
        let (n, field): (i64, i64) = (block.try_get(0).during(DOING)?, block.try_get(1).during(DOING)?);
        let sum = listed.entry((n, field)).or_default();
        // A block that is none lists nothing.
        let _ = postings::read(block.try_get(2).during(DOING)?, |_, rows| *sum += rows.len());
    }
    let is_damaged = |segment: &&Segment| {
        segment.state == SegmentState::Indexed
            && INDEXED_FIELDS
                .iter()
                .any(|field| listed.get(&(segment.n, field_number(*field))).copied().unwrap_or(0) != segment.events_n)
    };
    Ok(segments.iter().filter(is_damaged).map(|segment| segment.n).collect())
}

/// Gives up the damaged indexes: [`merge_next_field`] builds them again from the rows. Returns their number.
pub(crate) async fn discard_damaged(state: &mut WriterState) -> Result<usize, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let damaged = find_damaged(&mut transaction.connection.db).await?;
    for n in &damaged {
        segment::set_unindexed(&mut transaction.connection.db, *n).await?;
    }
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    transaction.commit().await?;
    Ok(damaged.len())
}

const DOING: &str = "indexing";
/// Two of them to a page.
const BLOCK_BYTES: usize = 1800;
const SHAPES: [usize; 3] = [64, 8, 1];
