//! From what a reader asks to conditions in SQL with bound values; no I/O. The stores on SQL share it.

mod clause;
mod dialect;

pub(super) use clause::{BindValue, Clause};
pub(super) use dialect::{Dialect, TextColumn};
