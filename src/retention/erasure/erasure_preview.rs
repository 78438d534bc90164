//! The counts of an erasure, before and after.

use std::collections::BTreeMap;

use crate::event::Timestamp;
use crate::query::Cursor;

/// The events of which an erasure would blank values, counted. The run with this preview looks at the events that were there, and at no newer ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasurePreview {
    /// The number of events that name the person or are theirs.
    pub events: u64,
    /// The number of events for each cell that is blanked, by its name; members of `details` are counted as one.
    pub cells: BTreeMap<String, u64>,
    /// The times of the first and the last of the events.
    pub range: Option<(Timestamp, Timestamp)>,
    /// The number of events that name the person, and cannot be decoded: they stay as they are.
    pub unreadable: u64,
    /// The newest event that was looked at; none of an empty log.
    pub(super) newest: Option<Cursor>,
}

/// The result of an erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasureReport {
    /// The number of events of which values were blanked.
    pub events: u64,
    /// The number of events that stay because they have no leaf yet: a sealer was not there in time. 0 for a log without a seal.
    pub unsealed: u64,
    /// The number of events that stay because they are not those that were sealed: `verify` names them. 0 for a log without a seal.
    pub damaged: u64,
    /// The number of events that stay because they cannot be decoded.
    pub unreadable: u64,
}
