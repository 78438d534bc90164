//! The segments: tables of at most 32,768 events, with an index of ids, one of times and postings of six fields.

pub(super) mod postings;
pub(super) mod row_set;
pub(super) mod segment;
pub(super) mod value_index;
