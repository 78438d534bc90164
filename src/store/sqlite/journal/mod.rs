//! The journal: the table that appends go to, one row a batch, without a secondary index.

pub(super) mod append;
pub(super) mod bounded_append;
pub(super) mod compaction;
mod deletion;
mod duplicate_lookup;
pub(super) mod journal_cache;
pub(super) mod journal_row;
pub(super) mod planned_move;
mod prepared_events;
pub(super) mod row_check;
pub(super) mod row_salvage;
pub(super) mod stored_row;
