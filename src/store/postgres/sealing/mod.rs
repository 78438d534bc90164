//! The seal's tables, and the events that have no leaf.

mod batch;
mod horizon;
mod removals;
mod rows;
mod store_impl;
pub(super) mod tables;
mod unsealed;

pub(super) use unsealed::LateCommits;
