//! One page of a listing.

use super::Filter;
use crate::event::{AuditEvent, EventId, Timestamp};

/// One page of the events that pass a filter: newest first, ties by id, greatest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// The filter.
    pub filter: Filter,
    /// Only events that sort after this place.
    pub after: Option<Cursor>,
    /// The number of leading events to skip.
    pub skip: u64,
    /// The page size. 0 gives an empty page; a shorter page is the last one.
    pub limit: usize,
}

impl PageQuery {
    /// The first `limit` events that pass `filter`.
    pub fn new(filter: Filter, limit: usize) -> Self {
        Self { filter, after: None, skip: 0, limit }
    }
}

/// The place of an event in a listing: what comes after it is older, or as old with a smaller id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time of the event.
    pub created_at: Timestamp,
    /// Its id.
    pub event_id: EventId,
}

impl Cursor {
    /// The place of this event.
    pub fn of(event: &AuditEvent) -> Self {
        Self { created_at: event.created_at, event_id: event.event_id }
    }
}
