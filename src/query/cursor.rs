//! A position in a listing.

use crate::event::{AuditEvent, EventId, Timestamp};

/// The position of an event in a listing. Later events of the listing are older, or as old with a smaller id.
///
/// Exhaustive: another field would be another order of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "its fields are the order of the listing")]
pub struct Cursor {
    /// The time of the event.
    pub created_at: Timestamp,
    /// The id of the event.
    pub event_id: EventId,
}

impl Cursor {
    /// The position of this event.
    pub fn of(event: &AuditEvent) -> Self {
        Self { created_at: event.created_at, event_id: event.event_id }
    }

    /// Returns the position after which a page begins with this one. `None`: there is none; the page begins at the newest event.
    pub(crate) fn just_before(self) -> Option<Self> {
        if let Some(id) = self.event_id.as_u128().checked_add(1) {
            return Some(Self { event_id: EventId::from_u128(id), ..self });
        }
        let created_at = Timestamp::from_micros(self.created_at.as_micros() + 1)?;
        Some(Self { created_at, event_id: EventId::from_u128(0) })
    }
}
