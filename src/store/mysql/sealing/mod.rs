//! The seal's tables, and the events that have no leaf.

mod batch;
pub(super) mod removals;
mod rows;
mod store_impl;
pub(super) mod tables;
mod unsealed;
