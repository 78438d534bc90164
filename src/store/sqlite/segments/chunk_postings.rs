//! The part of a segment's index that comes with a chunk of its rows.

use std::iter::repeat;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::postings::{Block, Postings};
use super::terms::{self, TermKey, TermList};
use crate::query::Field;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::{EventColumns, INDEX_PARTS, IndexPart};

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

    /// Encodes the part.
    pub(crate) fn into_index(self) -> ChunkIndex {
        let terms = self.terms.into_blocks(BLOCK_BYTES);
        let terms_n = terms.iter().map(|block| terms::count(&block.body)).sum();
        let fields = self.fields.into_iter().zip(INDEX_PARTS).filter(|(_, part)| *part != IndexPart::Terms);
        let blocks = fields.flat_map(|(values, part)| values.into_blocks(BLOCK_BYTES).into_iter().zip(repeat(part)));
        let blocks = blocks.chain(terms.into_iter().zip(repeat(IndexPart::Terms))).collect();
        ChunkIndex { blocks, terms_n }
    }
}

/// The encoded part of a chunk.
#[derive(Debug)]
pub(crate) struct ChunkIndex {
    blocks: Vec<(Block, IndexPart)>,
    terms_n: u64,
}

impl ChunkIndex {
    /// Returns the number of terms.
    pub(crate) fn terms_n(&self) -> u64 {
        self.terms_n
    }

    pub(crate) fn into_blocks(self) -> Vec<(Block, IndexPart)> {
        self.blocks
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

/// Inserts blocks of a part, inside of a transaction.
pub(crate) async fn insert(
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

const DOING: &str = "indexing";
/// Two of them to a page.
pub(crate) const BLOCK_BYTES: usize = 1800;
const SHAPES: [usize; 4] = [64, 16, 4, 1];
