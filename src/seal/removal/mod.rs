//! Signed removals: the leaves whose events a purge has deleted, or of whose events an erasure has blanked cells.

mod erased_cells;
mod leaf_ranges;
mod removal_note;

pub use erased_cells::ErasedCells;
pub use leaf_ranges::LeafRanges;
pub use removal_note::{RETENTION_SUFFIX, RemovalKind, RemovalNote};
