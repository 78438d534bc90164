//! The events by which the log ends a `started` event.

use http::StatusCode;

use crate::event::{AuditEvent, BoundedEvent, ErrorCode, Phase};

/// Returns the end of a `started` event whose process has died.
pub(super) fn unknown(started: &AuditEvent) -> AuditEvent {
    AuditEvent { phase: Phase::Unknown, ..end_of(started) }
}

/// Returns the end of a `started` event whose caller was rejected: the handler has not run.
pub(super) fn not_run(started: &AuditEvent) -> BoundedEvent {
    let mut event = end_of(started);
    event.request = started.request.clone();
    event.request.started_event_id = Some(started.event_id);
    event.outcome = Some(StatusCode::SERVICE_UNAVAILABLE.as_u16());
    event.classification.error = ErrorCode::from_status(StatusCode::SERVICE_UNAVAILABLE);
    event.details.insert("not_run".into(), true.into());
    BoundedEvent::new(Box::new(event))
}

fn end_of(started: &AuditEvent) -> AuditEvent {
    let mut event = AuditEvent::new(started.event_type.clone());
    event.actor = started.actor.clone();
    event.resource = started.resource.clone();
    event.targets = started.targets.clone();
    event.classification = started.classification.clone();
    event.request.request_id = started.request.request_id.clone();
    event.request.started_event_id = Some(started.event_id);
    event
}
