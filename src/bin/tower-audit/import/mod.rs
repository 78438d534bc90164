//! Importing: sources, the report, and the events that record it.

mod held_ends;
mod report;
mod source;
mod trace;

pub(crate) use held_ends::HeldEnds;
pub(crate) use report::ImportReport;
pub(crate) use source::{BATCH, Source, SourceError, read};
pub(crate) use trace::{completed, started};
