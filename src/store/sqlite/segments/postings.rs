//! Postings of one field of a segment: each value with its set of rows.
//!
//! It is kept in blocks, in the order of the values: the length of a value, the value, its rows ([`row_set`]), and so on.
//! A value is a byte 1 and its text, or nothing where an event has nothing: that sorts before every text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::row_set::{self, EncodedRows};

/// The value of an event in a field.
pub(crate) type FieldValue<'a> = Option<Cow<'a, str>>;

/// The values of one field, each with its rows.
#[derive(Debug, Default)]
pub(crate) struct Postings<'a, S = RandomState> {
    /// The place of each value's rows in `rows`.
    places: HashMap<Cow<'a, str>, usize, S>,
    rows: Vec<Vec<u32>>,
    /// The value of the last row and its place: the next event has it more often than not, and then nothing is hashed.
    last: Option<(Cow<'a, str>, usize)>,
    /// The rows without a value.
    missing: Vec<u32>,
}

/// A range of the values, encoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// No value before this one is in the block; empty for the first block.
    pub(crate) first: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl<'a, S: BuildHasher> Postings<'a, S> {
    /// Adds a row. The rows of a value come in ascending order.
    pub(crate) fn add(&mut self, value: FieldValue<'a>, row: u32) {
        let Some(value) = value else { return self.missing.push(row) };
        let place = match &self.last {
            Some((last, place)) if *last == value => *place,
            _ => {
                let place = self.place(value.clone());
                self.last = Some((value, place));
                place
            }
        };
        self.rows[place].push(row);
    }

    /// Returns the place of a value's rows, made now if there are none yet.
    fn place(&mut self, value: Cow<'a, str>) -> usize {
        if let Some(place) = self.places.get(&value) {
            return *place;
        }
        self.rows.push(Vec::new());
        self.places.insert(value, self.rows.len() - 1);
        self.rows.len() - 1
    }

    /// The blocks, each of which ends when it has this many bytes; one at the least.
    pub(crate) fn into_blocks(self, bytes: usize) -> Vec<Block> {
        let mut rows = self.rows;
        let with_rows =
            |(value, place): (_, usize)| (value, rows.get_mut(place).map(std::mem::take).unwrap_or_default());
        let mut sorted: Vec<_> = self.places.into_iter().map(with_rows).collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let missing = (!self.missing.is_empty()).then_some((None, self.missing));
        let sorted = missing.into_iter().chain(sorted.into_iter().map(|(value, rows)| (Some(value), rows)));
        let mut blocks = Vec::new();
        let mut block = Block { first: Vec::new(), body: Vec::new() };
        for (value, rows) in sorted {
            let key = key(value.as_deref());
            if block.body.len() >= bytes {
                blocks.push(block);
                block = Block { first: key.clone(), body: Vec::new() };
            }
            row_set::write_varint(key.len() as u64, &mut block.body);
            block.body.extend_from_slice(&key);
            row_set::encode(&rows, &mut block.body);
        }
        blocks.push(block);
        blocks
    }
}

/// Returns the stored key of a value, by which values sort.
pub(crate) fn key(value: Option<&str>) -> Vec<u8> {
    value.map_or_else(Vec::new, |text| [&[PRESENT], text.as_bytes()].concat())
}

/// Decodes a block: gives each value to `visit`, with its rows.
///
/// # Errors
/// If the block is not one.
pub(crate) fn read<'a>(
    mut body: &'a [u8],
    mut visit: impl FnMut(Option<&'a str>, EncodedRows<'a>),
) -> Result<(), sqlx::Error> {
    while !body.is_empty() {
        let (value, rows) = entry(&mut body)
            .ok_or_else(|| sqlx::Error::Decode("a block of the index of a segment is damaged".into()))?;
        visit(value, rows);
    }
    Ok(())
}

fn entry<'a>(body: &mut &'a [u8]) -> Option<(Option<&'a str>, EncodedRows<'a>)> {
    let len = usize::try_from(row_set::read_varint(body)?).ok()?;
    let (key, rest) = body.split_at_checked(len)?;
    *body = rest;
    let value = match key {
        [] => None,
        [PRESENT, text @ ..] => Some(std::str::from_utf8(text).ok()?),
        _ => return None,
    };
    Some((value, EncodedRows::take(body)?))
}

/// Returns the key of the first value of a block.
pub(crate) fn first_key(mut body: &[u8]) -> Option<&[u8]> {
    let len = usize::try_from(row_set::read_varint(&mut body)?).ok()?;
    body.get(..len)
}

pub(crate) const PRESENT: u8 = 1;
