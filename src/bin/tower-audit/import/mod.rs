//! Importing: sources, the report, and the events that record it.

mod report;
mod source;
mod trace;

pub(crate) use report::ImportReport;
pub(crate) use source::{Source, SourceError, read};
pub(crate) use trace::{completed, started};
