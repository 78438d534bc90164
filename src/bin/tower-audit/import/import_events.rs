//! The events that record an import.

use tower_audit::import::ImportFormat;
use tower_audit::{Actor, AuditEvent, EventType, Phase};

use super::ImportReport;

/// Returns the event that is written before anything is imported.
pub(crate) fn started(from: ImportFormat, sources: &[String], actor: String) -> AuditEvent {
    let mut event = event(from, sources, Actor::user(actor));
    event.phase = Phase::Started;
    event.truncate_to_limits();
    event
}

/// Returns the event that is written afterwards. `ended` is `done`, `interrupted`, `stopped` or `failed`.
pub(crate) fn completed(
    started: &AuditEvent,
    from: ImportFormat,
    sources: &[String],
    report: &ImportReport,
    ended: &str,
) -> AuditEvent {
    let mut event = event(from, sources, started.actor.clone());
    event.request.started_event_id = Some(started.event_id);
    event.details.insert("events".into(), report.events.into());
    event.details.insert("rejected".into(), report.rejected.into());
    for (name, at) in [("first", report.first), ("last", report.last)] {
        if let Some(at) = at {
            event.details.insert(name.into(), at.to_string().into());
        }
    }
    event.details.insert("ended".into(), ended.into());
    event.truncate_to_limits();
    event
}

fn event(from: ImportFormat, sources: &[String], actor: Actor) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUDIT_IMPORT);
    event.actor = actor;
    event.details.insert("from".into(), from.as_str().into());
    event.details.insert("sources".into(), sources.into());
    event
}
