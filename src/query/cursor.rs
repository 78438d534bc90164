//! A place in a listing.

use crate::event::{AuditEvent, EventId, Timestamp};

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
