//! The segments: tables of at most 32,768 events, with an index of ids, one of times, postings of fields and a list of terms.

pub(super) mod absent_id_ranges;
pub(super) mod chunk_postings;
pub(super) mod index_build;
pub(super) mod index_check;
pub(super) mod postings;
pub(super) mod row_set;
pub(super) mod segment;
pub(super) mod segment_list_check;
pub(super) mod segment_row;
pub(super) mod terms;
pub(super) mod value_index;
