//! A record as it was understood.

use std::fmt;

use crate::event::AuditEvent;

/// A record of another log, as an event or with the reason why it is none.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImportRecord {
    /// The line of the file at which it begins, from 1; of a table, the number of the row.
    pub line: u64,
    /// The event, within its limits.
    pub event: Result<AuditEvent, Rejection>,
    /// The parts of the record that have no field, or do not fit it.
    pub notes: Vec<ImportNote>,
}

/// The reason why a record is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rejection {
    /// It does not end, or another record begins within it.
    Torn,
    /// It is longer than 16 MiB.
    TooLong,
    /// It is no JSON object.
    NotAnObject,
    /// It is no record of CSV under its header.
    NotCsv,
    /// It has no time.
    NoTime,
    /// Its time is none.
    BadTime,
    /// It is no event of this crate.
    NotAnEvent,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "the record is torn",
            Self::TooLong => "the record is longer than 16 MiB",
            Self::NotAnObject => "the record is no JSON object",
            Self::NotCsv => "the record is no CSV with the columns of the header",
            Self::NoTime => "the record has no time",
            Self::BadTime => "the time of the record is none",
            Self::NotAnEvent => "the record is no event of an export",
        })
    }
}

impl std::error::Error for Rejection {}

/// A part of a record that has no field, or does not fit it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ImportNote {
    /// A member that no field stands for; it is in `details.imported`.
    UnknownMember(String),
    /// A value that does not fit its field; it is in `details.imported`.
    BadValue(&'static str),
    /// A type that is no name; the event has another, and the type is in `details.imported`.
    BadType,
    /// The record has no id, or one that is no UUID; the event has one that is derived from the record.
    DerivedId,
    /// The event is larger than its limits, and was cut visibly.
    Cut,
    /// CSV: a value that the export may have changed, by an apostrophe before a formula or an escape; it is kept as it stands.
    Ambiguous(&'static str),
}

impl fmt::Display for ImportNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMember(name) => write!(f, "{name} has no field, and is kept in details.imported"),
            Self::BadValue(name) => write!(f, "{name} does not fit its field, and is kept in details.imported"),
            Self::BadType => f.write_str("the type is no name, and is kept in details.imported"),
            Self::DerivedId => f.write_str("there is no id, and one is derived from the record"),
            Self::Cut => f.write_str("the event is larger than its limits, and was cut"),
            Self::Ambiguous(name) => write!(f, "{name} may have been changed by the export, and is kept as it stands"),
        }
    }
}
