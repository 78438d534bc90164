//! Importing: sources, the report, and the events that record it.

mod held_ends;
mod import_events;
mod report;
mod source;

pub(crate) use held_ends::HeldEnds;
pub(crate) use import_events::{completed, started};
pub(crate) use report::ImportReport;
pub(crate) use source::{BATCH, Source, SourceError, read};
