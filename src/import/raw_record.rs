//! A record before it is understood.

use super::Rejection;

/// The longest record: an event has 128 KiB at most.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// A piece of a file, and the line at which it begins.
pub(super) type Numbered<T> = (u64, Result<T, Rejection>);

/// A record before it is understood.
#[derive(Debug, PartialEq)]
pub(super) struct RawRecord {
    /// The line at which it begins.
    pub(super) line: u64,
    pub(super) content: Result<Content, Rejection>,
}

/// The content of a record.
#[derive(Debug, PartialEq)]
pub(super) enum Content {
    /// JSON, as it stands.
    Json(Vec<u8>),
    /// The fields of a record of CSV.
    Csv(Vec<String>),
}
