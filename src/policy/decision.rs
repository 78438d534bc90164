//! The decision to record a request.

use super::FailMode;
use crate::event::EventType;

/// The decision to record a request, and its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The rule that decided, as an index into [`AuditPolicy::rules`](super::AuditPolicy::rules); none if the handler
    /// named a type that no rule is about.
    pub(crate) rule: Option<usize>,
    /// The type of the event.
    pub(crate) event_type: EventType,
    /// The treatment of the response if the event cannot be written.
    pub(crate) fail_mode: FailMode,
}
