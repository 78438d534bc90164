//! The events that a health check inserts and rolls back.

use crate::event::{Actor, AuditEvent, EventType, Phase};

/// The events of a request with a write-ahead rule, and of one without, each a batch of its own.
pub(super) fn rehearsal() -> [Vec<AuditEvent>; 3] {
    let event = |event_type, phase, outcome| {
        let mut event = AuditEvent::new(event_type);
        event.phase = phase;
        event.outcome = outcome;
        event.actor = Actor::user("health@tower-audit.invalid");
        event.actor.remote_addr = Some("192.0.2.1".into());
        event.resource.route = Some("/health".into());
        event.resource.method = Some("GET".into());
        event
    };
    let started = event(EventType::ADMIN_ACTION, Phase::Started, None);
    let mut ended = event(EventType::ADMIN_ACTION, Phase::Completed, Some(200));
    ended.request.started_event_id = Some(started.event_id);
    let plain = event(EventType::UPLOAD, Phase::Completed, Some(200));
    [vec![started], vec![ended], vec![plain]]
}
