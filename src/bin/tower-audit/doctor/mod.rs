//! Diagnostics of a log, each with a remedy.

mod audit_policy_file;
mod files;
mod report;
mod store;

pub(crate) use audit_policy_file::policy;
pub(crate) use report::DoctorReport;
pub(crate) use store::{store, url_source};
