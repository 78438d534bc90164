//! The leaf of an event, format v1: salted commitments of its cells.

mod canonical_cell;
mod cell;
mod salts;
mod sealed_leaf;

#[cfg(test)]
mod tests;

pub use cell::{Cell, cells};
pub use salts::{Salts, Seed};
pub use sealed_leaf::Leaf;
