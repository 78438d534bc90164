//! The handlers, one for each operation.

mod count;
mod export;
mod get;
mod list;
#[cfg(feature = "seal")]
mod proof;
#[cfg(feature = "seal")]
mod seal;
mod stats;

pub(crate) use count::count;
pub(crate) use export::export;
pub(crate) use get::get;
pub(crate) use list::list;
pub use list::{AUDIT_NEXT_CURSOR, AUDIT_UNINDEXED};
#[cfg(feature = "seal")]
pub(crate) use proof::proof;
#[cfg(feature = "seal")]
pub(crate) use seal::seal;
pub(crate) use stats::stats;
