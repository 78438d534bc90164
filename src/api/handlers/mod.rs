//! The handlers, one for each operation.

mod count;
mod export;
mod get;
mod list;
mod stats;

pub(crate) use count::count;
pub(crate) use export::export;
pub(crate) use get::get;
pub(crate) use list::list;
pub use list::{AUDIT_NEXT_CURSOR, AUDIT_UNINDEXED};
pub(crate) use stats::stats;
