//! The index of each segment against its rows, as far as that takes no reading of all rows.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::postings;
use super::row_set::MAX_ROWS;
use super::segment::{self, Segment, SegmentState};
use super::segment_row;
use super::terms::{self, TermKey, TermList};
use crate::query::Field;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::{INDEX_PARTS, IndexPart};
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};

/// Returns the segments whose index does not list each of their events once for every field, where a reader looks for it.
pub(crate) async fn find_damaged(db: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let segments = segment::load(&mut *db).await?;
    let indexed = segments.iter().filter(|segment| segment.state == SegmentState::Indexed);
    let mut found = HashMap::new();
    let key = TermKey::load(&mut *db).await?;
    for segment in indexed.clone() {
        let sum = sum_of_rows(db, segment.n).await?;
        found.insert(
            segment.n,
            Found { sum_of_rows: sum, missing_terms: sample(db, &key, segment).await?, ..Found::default() },
        );
    }
    let mut blocks = sqlx::query(
        "SELECT CAST(n AS INTEGER), CASE typeof(field) WHEN 'integer' THEN field ELSE -1 END, \
         CASE typeof(part) WHEN 'integer' THEN part ELSE -1 END, \
         CASE typeof(first) WHEN 'blob' THEN first ELSE x'ff' END, CASE typeof(body) WHEN 'blob' THEN body ELSE x'ff' END \
         FROM audit_postings WHERE n > 0",
    )
    .fetch(&mut *db);
    while let Some(block) = blocks.try_next().await.during(DOING)? {
        let n: i64 = block.try_get(0).during(DOING)?;
        if let Some(found) = found.get_mut(&n) {
            found.add(&block).during(DOING)?;
        }
    }
    drop(blocks);
    let is_damaged = |segment: &&Segment| found.get(&segment.n).is_none_or(|found| !found.is_whole(segment));
    Ok(indexed.filter(is_damaged).map(|segment| segment.n).collect())
}

/// Returns the terms of the first and the last row, by which a changed key shows.
async fn sample(
    db: &mut SqliteConnection,
    key: &TermKey,
    segment: &Segment,
) -> Result<HashSet<(u64, u16)>, StoreError> {
    let mut terms = TermList::default();
    let rows = format!("seq IN (1, {})", segment.events_n);
    segment_row::scan(db, segment.n, &rows, |row, event, _| terms.add(key, event, row)).await?;
    Ok(terms.into_terms().into_iter().collect())
}

/// Returns the sum of the rows' numbers, which the index names. The list of segments tells of numbers that are none.
async fn sum_of_rows(db: &mut SqliteConnection, n: i64) -> Result<i64, StoreError> {
    let sql = format!("SELECT coalesce(sum(seq), 0) FROM audit_segment_{n} WHERE seq BETWEEN 0 AND {MAX_ROWS}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.during(DOING)
}

/// Rows and terms that the blocks of a segment's index list.
#[derive(Debug, Default)]
struct Found {
    /// The number of listed rows or terms by field and chunk.
    listed: HashMap<(i64, i64), u64>,
    /// The chunks that readers find: those with a block of phases.
    chunks: HashSet<i64>,
    /// The sum of the numbers of the rows that no block of phases lists.
    sum_of_rows: i64,
    missing_terms: HashSet<(u64, u16)>,
    has_stray_block: bool,
}

impl Found {
    fn add(&mut self, block: &SqliteRow) -> Result<(), sqlx::Error> {
        let (field, chunk): (i64, i64) = (block.try_get(1)?, block.try_get(2)?);
        let (first, body): (&[u8], &[u8]) = (block.try_get(3)?, block.try_get(4)?);
        let sum = self.listed.entry((field, chunk)).or_default();
        let first_key = if field == IndexPart::Terms.number() {
            *sum += terms::count(body);
            self.has_stray_block |= terms::read(body, |digest, row| {
                self.missing_terms.remove(&(digest, row));
            })
            .is_err();
            terms::first_key(body)
        } else {
            let is_phase = field == PHASE.number();
            let read = postings::read(body, |_, rows| {
                *sum += rows.len();
                if is_phase {
                    rows.each(|row| self.sum_of_rows -= i64::from(row));
                }
            });
            self.has_stray_block |= read.is_err();
            postings::first_key(body)
        };
        // Readers find a block by its first key; the first block of a chunk has none.
        self.has_stray_block |= !first.is_empty() && first_key != Some(first);
        if field == PHASE.number() && first.is_empty() {
            self.chunks.insert(chunk);
        }
        Ok(())
    }

    fn is_whole(&self, segment: &Segment) -> bool {
        let listed = |part: IndexPart| -> u64 {
            let of_part = self.listed.iter().filter(|((field, _), _)| *field == part.number());
            of_part.filter(|((_, chunk), _)| *chunk == 0 || self.chunks.contains(chunk)).map(|(_, sum)| sum).sum()
        };
        let lists_all = |part: IndexPart| match part {
            IndexPart::Terms => listed(part) == segment.terms_n,
            // An event may have targets of several types.
            IndexPart::Values(Field::TargetType) => listed(part) >= segment.events_n,
            IndexPart::Values(_) => listed(part) == segment.events_n,
        };
        !self.has_stray_block
            && self.sum_of_rows == 0
            && self.missing_terms.is_empty()
            && INDEX_PARTS.into_iter().all(lists_all)
    }
}

/// Gives up the damaged indexes: [`merge_next_parts`](super::value_index::merge_next_parts) builds them again from the
/// rows. Returns their number.
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

/// The field that every event has.
const PHASE: IndexPart = IndexPart::Values(Field::Phase);
const DOING: &str = "checking the indexes";
