//! Signed removals: the leaves whose events a purge has deleted.

mod leaf_ranges;
mod removal_note;

pub use leaf_ranges::LeafRanges;
pub use removal_note::{RETENTION_SUFFIX, RemovalNote};
