//! The seal's tables, and the events that have no leaf.

mod batch;
mod horizon;
mod pace;
mod part;
mod removals;
mod rows;
pub(super) mod tables;
mod unsealed;

pub(super) use unsealed::Sweep;
