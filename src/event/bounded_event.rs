//! An event within its limits.

use std::ops::Deref;

use super::AuditEvent;

/// An event within its limits. Only truncation makes one, and it cannot be changed.
///
/// Boxed, because each future on the way to the writer would have room for the event and copy it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundedEvent(Box<AuditEvent>);

impl BoundedEvent {
    /// Truncates the event to its limits.
    pub(crate) fn new(mut event: Box<AuditEvent>) -> Self {
        event.truncate_to_limits();
        Self(event)
    }

    /// Returns the event, to be stored, or changed and bounded again.
    pub(crate) fn into_inner(self) -> Box<AuditEvent> {
        self.0
    }
}

impl Deref for BoundedEvent {
    type Target = AuditEvent;

    fn deref(&self) -> &AuditEvent {
        &self.0
    }
}
