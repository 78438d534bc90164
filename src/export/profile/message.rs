//! A sentence for people.

use crate::event::AuditEvent;

/// Returns a sentence such as `upload completed by alice: POST /scans 200`.
pub(super) fn message(event: &AuditEvent) -> String {
    let mut text = format!("{} {}", event.event_type, event.phase.as_str());
    for (word, value) in [
        (" by ", event.actor.user_email.as_deref()),
        (": ", event.resource.method.as_deref()),
        (" ", event.resource.route.as_deref()),
    ] {
        if let Some(value) = value {
            text.push_str(word);
            text.push_str(value);
        }
    }
    if let Some(status) = event.outcome {
        text.push_str(&format!(" {status}"));
    }
    text
}
