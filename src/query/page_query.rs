//! One page of a listing.

use super::{Cursor, Filter};

/// One page of the events that pass a filter: newest first, ties by id, greatest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// The filter.
    pub filter: Filter,
    /// Only events that sort after this place.
    pub after: Option<Cursor>,
    /// The number of leading events to skip.
    pub skip: u64,
    /// The page size. 0 gives an empty page; a shorter page is the last one.
    pub limit: usize,
}

impl PageQuery {
    /// The first `limit` events that pass `filter`.
    pub fn new(filter: Filter, limit: usize) -> Self {
        Self { filter, after: None, skip: 0, limit }
    }
}
