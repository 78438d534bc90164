//! What is well with a log and what is not, and what to do about it.

mod files;
mod policy;
mod report;
mod store;

pub(crate) use policy::policy;
pub(crate) use report::DoctorReport;
pub(crate) use store::{store, url_source};
