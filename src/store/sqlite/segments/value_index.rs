//! The index of each segment: for each field its values, and the rows that have them ([`postings`]).
//!
//! An index of SQLite's rewrites a page for nearly every event. So each chunk that is moved into a segment brings a *part*
//! of the index with it. It has blocks in the order of the values, and a lookup of one value reads one block of each chunk's.
//! Those of a full segment are merged into one, a part of the index at a time.
//!
//! A client chooses how long some values are, and a merge is one transaction. So a part that would take too many bytes stays in its
//! chunks. So does then the part of the phases, by which readers find the chunks.

use std::iter::repeat;

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::chunk_postings::{self, BLOCK_BYTES};
use super::index_build;
use super::postings::{self, Block, Postings};
use super::segment::{self, Segment, SegmentState};
use super::terms::{self, TermList};
use crate::query::Field;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::{INDEX_PARTS, IndexPart};
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// Returns the next segment whose index is not built or not merged.
pub(crate) fn next_unmerged(segments: &[Segment]) -> Option<&Segment> {
    segments.iter().find(|segment| match segment.state {
        SegmentState::Dropping => false,
        SegmentState::Unindexed => segment.merged >= 0,
        SegmentState::Indexed => !segment.has_room() && !segment.unmerged_parts().is_empty(),
    })
}

/// Returns the segment whose index is built and to be merged next.
pub(crate) fn next_merge(segments: &[Segment]) -> Option<&Segment> {
    next_unmerged(segments).filter(|segment| segment.state == SegmentState::Indexed)
}

/// Merges the next parts of one segment's index, as many as are small, or builds a chunk of it. Returns true if work is left.
pub(crate) async fn merge_next_parts(state: &mut WriterState) -> Result<bool, StoreError> {
    merge_parts(state, LIMITS).await
}

/// The limits of a step, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergeLimits {
    /// The size of the blocks from which a step has merged enough.
    pub(crate) at_once: usize,
    /// The largest size of a merged part.
    pub(crate) of_part: usize,
}

/// Merges parts within these limits.
pub(crate) async fn merge_parts(state: &mut WriterState, limits: MergeLimits) -> Result<bool, StoreError> {
    let Some(segment) = next_unmerged(&state.segments).copied() else { return Ok(false) };
    if segment.state == SegmentState::Indexed {
        merge_indexed(state, segment, limits).await?;
    } else {
        build_some(state, segment, limits).await?;
    }
    Ok(next_unmerged(&state.segments).is_some())
}

/// Merges parts of one segment's index.
async fn merge_indexed(state: &mut WriterState, segment: Segment, limits: MergeLimits) -> Result<(), StoreError> {
    let merged = MergedParts::read_within(&mut state.connection.db, segment, limits).await?;
    merged.replace(state).await
}

/// Merged parts of a segment's index. They are built without the lock, and then replace those of the chunks only if the segment is
/// unchanged.
#[derive(Debug)]
pub(crate) struct MergedParts {
    segment: Segment,
    /// `None`: the part stays in its chunks.
    parts: Vec<(IndexPart, Option<Vec<Block>>)>,
}

impl MergedParts {
    /// Reads and merges the next parts of the segment, as many as are small.
    pub(crate) async fn read(db: &mut SqliteConnection, segment: Segment) -> Result<Self, StoreError> {
        Self::read_within(db, segment, LIMITS).await
    }

    async fn read_within(db: &mut SqliteConnection, segment: Segment, limits: MergeLimits) -> Result<Self, StoreError> {
        let mut parts: Vec<(IndexPart, Option<Vec<Block>>)> = Vec::new();
        let mut bytes = 0;
        for part in segment.unmerged_parts() {
            let is_last_with_chunks = *part == PHASE
                && (parts.iter().any(|(_, blocks)| blocks.is_none()) || has_other_chunks(db, segment.n).await?);
            let blocks =
                if is_last_with_chunks { None } else { merge_chunks(db, segment.n, *part, limits.of_part).await? };
            bytes += blocks.as_ref().map_or(limits.of_part, |blocks| blocks.iter().map(|block| block.body.len()).sum());
            parts.push((*part, blocks));
            if bytes >= limits.at_once {
                break;
            }
        }
        Ok(Self { segment, parts })
    }

    /// Replaces the parts of the chunks in one transaction.
    pub(crate) async fn replace(self, state: &mut WriterState) -> Result<(), StoreError> {
        let mut transaction = StateTransaction::begin(state).await?;
        transaction.segments = segment::load(&mut transaction.connection.db).await?;
        if transaction.segments.contains(&self.segment) {
            for (part, blocks) in self.parts {
                replace(&mut transaction.connection.db, self.segment.n, part, blocks).await?;
            }
            transaction.segments = segment::load(&mut transaction.connection.db).await?;
        }
        transaction.commit().await
    }
}

/// Builds a chunk of the index of a segment without one. After the last chunk the index counts.
async fn build_some(state: &mut WriterState, segment: Segment, limits: MergeLimits) -> Result<(), StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    if transaction.segments.contains(&segment) {
        let db = &mut *transaction.connection.db;
        if index_build::build_chunk(db, &segment).await? {
            segment::set_indexed(db, segment.n).await?;
            // One part is merged at once: a segment without a merged part may take more rows.
            let first = INDEX_PARTS[0];
            let blocks = merge_chunks(db, segment.n, first, limits.of_part).await?;
            replace(db, segment.n, first, blocks).await?;
        }
        transaction.segments = segment::load(&mut transaction.connection.db).await?;
    }
    transaction.commit().await
}

/// Replaces what came with the chunks by the blocks, inside a transaction. `None`: it stays.
async fn replace(
    db: &mut SqliteConnection,
    n: i64,
    part: IndexPart,
    blocks: Option<Vec<Block>>,
) -> Result<(), StoreError> {
    if let Some(blocks) = blocks {
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
        chunk_postings::insert(db, n, 0, blocks.into_iter().zip(repeat(part)).collect()).await?;
    }
    sqlx::query("UPDATE audit_segments SET merged = merged + 1 WHERE n = ?1")
        .bind(n)
        .execute(db)
        .await
        .during(DOING)?;
    Ok(())
}

/// Returns true if a part other than the phases is still in chunks.
async fn has_other_chunks(db: &mut SqliteConnection, n: i64) -> Result<bool, StoreError> {
    let others: Vec<i64> = INDEX_PARTS.iter().filter(|part| **part != PHASE).map(|part| part.number()).collect();
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM json_each(?2) AS f CROSS JOIN audit_postings AS p \
         ON p.n = ?1 AND p.field = f.value AND p.part > 0)",
    )
    .bind(n)
    .bind(serde_json::to_string(&others).during(DOING)?)
    .fetch_one(db)
    .await
    .during(DOING)
}

/// Merges what came with the chunks; `None` if it would take more bytes than this.
async fn merge_chunks(
    db: &mut SqliteConnection,
    n: i64,
    part: IndexPart,
    at_most: usize,
) -> Result<Option<Vec<Block>>, StoreError> {
    let Some(bodies) = read_chunks(db, n, part, at_most).await? else { return Ok(None) };
    let blocks = if part == IndexPart::Terms {
        let mut all = TermList::default();
        for body in &bodies {
            all.add_block(body).during(DOING)?;
        }
        all.into_blocks(BLOCK_BYTES)
    } else {
        let mut all: Postings<'_> = Postings::default();
        for body in &bodies {
            postings::read(body, |value, rows| rows.each(|row| all.add(value.map(Into::into), row))).during(DOING)?;
        }
        all.into_blocks(BLOCK_BYTES)
    };
    let bytes: usize = blocks.iter().map(stored_bytes).sum();
    Ok((bytes <= at_most).then_some(blocks))
}

/// Returns the blocks of the chunks; `None` if they have more bytes than this.
async fn read_chunks(
    db: &mut SqliteConnection,
    n: i64,
    part: IndexPart,
    at_most: usize,
) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
    let mut found = sqlx::query("SELECT body FROM audit_postings WHERE n = ?1 AND field = ?2 ORDER BY part, first")
        .bind(n)
        .bind(part.number())
        .fetch(db);
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.try_next().await.during(DOING)? {
        let body: Vec<u8> = row.try_get(0).during(DOING)?;
        bytes += body.len();
        if bytes > at_most {
            return Ok(None);
        }
        bodies.push(body);
    }
    Ok(Some(bodies))
}

/// The bytes of the pages that a block takes. Its first key is in the row and in SQLite's index of the blocks, on a page of its own
/// if it is long.
fn stored_bytes(block: &Block) -> usize {
    let key = block.first.len();
    let entry = if key > PAGE_BYTES / 4 { key.next_multiple_of(PAGE_BYTES) } else { key };
    (block.body.len() + key).next_multiple_of(PAGE_BYTES / 2) + entry
}

/// The last part, by which readers find the chunks.
const PHASE: IndexPart = IndexPart::Values(Field::Phase);
const DOING: &str = "indexing";
const LIMITS: MergeLimits = MergeLimits { at_once: MERGED_AT_ONCE, of_part: MAX_PART_BYTES };
/// The size of the blocks from which a step has merged enough: some milliseconds of work.
const MERGED_AT_ONCE: usize = 64 * 1024;
/// The largest size of a merged part: 250 bytes for each row of a full segment.
const MAX_PART_BYTES: usize = 8 * 1024 * 1024;
/// The size of a page of a database, as SQLite makes it.
const PAGE_BYTES: usize = 4096;
