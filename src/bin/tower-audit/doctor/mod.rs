//! Diagnostics of a log, each with a remedy.

mod files;
mod policy_file;
mod report;
mod store;

pub(crate) use policy_file::policy;
pub(crate) use report::DoctorReport;
pub(crate) use store::{store, url_source};
