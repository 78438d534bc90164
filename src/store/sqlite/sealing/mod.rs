//! The seal's tables, and the order in which events get their leaves.

mod batch;
mod events;
mod foreign_rows;
mod rows;
mod store_impl;
mod unsealed;

pub(super) mod position;
pub(super) mod removals;
pub(super) mod tables;
