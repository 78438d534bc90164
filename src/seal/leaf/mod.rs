//! The leaf of an event, format v1: salted commitments of its cells.

mod canonical_cell;
mod cell;
mod commitment;
mod salts;
mod sealed_leaf;
mod surviving_salts;

#[cfg(test)]
mod tests;

pub use cell::{Cell, cells};
pub use salts::{Salts, Seed};
pub use sealed_leaf::Leaf;
pub use surviving_salts::SurvivingSalts;
