//! The events that record an erasure. They do not name the person.

use super::data_subject::DataSubject;
use super::erasure_preview::{ErasurePreview, ErasureReport};
use crate::event::{Actor, AuditEvent, CompactText, Details, EventType, Phase};

/// Returns the event that is written before anything is erased.
pub(super) fn started(person: &DataSubject, actor: &Actor, preview: &ErasurePreview) -> AuditEvent {
    let mut event = event(person, actor, preview);
    event.phase = Phase::Started;
    event.truncate_to_limits();
    event
}

/// Returns the event that is written afterwards. `ended` is `done`, `interrupted` or `failed`.
pub(super) fn completed(
    started: &AuditEvent,
    person: &DataSubject,
    preview: &ErasurePreview,
    report: &ErasureReport,
    ended: &str,
) -> AuditEvent {
    let mut event = event(person, &started.actor, preview);
    event.request.started_event_id = Some(started.event_id);
    event.details.insert("erased".into(), report.events.into());
    event.details.insert("ended".into(), ended.into());
    for (name, count) in [("unsealed", report.unsealed), ("damaged", report.damaged), ("unreadable", report.unreadable)]
    {
        if count > 0 {
            event.details.insert(name.into(), count.into());
        }
    }
    event.truncate_to_limits();
    event
}

fn event(person: &DataSubject, actor: &Actor, preview: &ErasurePreview) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUDIT_ERASE);
    // Of an operator who erases themselves, the name would stay behind.
    let names_person = |name: &Option<CompactText>| name.as_deref().is_some_and(|name| person.is_in(name));
    if !names_person(&actor.user_email) && !names_person(&actor.acting_for) {
        event.actor = actor.clone();
    }
    let details = &mut event.details;
    details.insert("events".into(), preview.events.into());
    let cells: Details = preview.cells.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
    details.insert("cells".into(), cells.into());
    if let Some(pseudonym) = &person.pseudonym {
        details.insert("pseudonym".into(), pseudonym.as_str().into());
    }
    if let Some((first, last)) = preview.range {
        details.insert("first".into(), first.to_string().into());
        details.insert("last".into(), last.to_string().into());
    }
    event
}
