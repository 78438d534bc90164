//! What is well with a log and what is not, and what to do about it.

mod files;
#[cfg(feature = "policy-file")]
mod policy;
mod report;
mod store;

#[cfg(feature = "policy-file")]
pub(crate) use policy::policy;
pub(crate) use report::Report;
pub(crate) use store::{named, store};
