//! Reading: one snapshot of journal and segments, newest event first.

pub(super) mod aggregate;
pub(super) mod index_lookup;
pub(super) mod open_events;
pub(super) mod prefilter;
pub(super) mod reader;
pub(super) mod scan;
pub(super) mod select;
pub(super) mod source;
