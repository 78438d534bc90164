//! CloudEvents 1.0.2, the JSON format in structured mode.

use std::io;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::plain_string::plain_string;
use crate::event::AuditEvent;

/// Appends the event without a line feed.
pub(super) fn encode(event: &AuditEvent, source: &str, out: &mut Vec<u8>) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &CloudEvent { event, source })?)
}

struct CloudEvent<'a> {
    event: &'a AuditEvent,
    source: &'a str,
}

impl Serialize for CloudEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &event.event_id)?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("type", &format!("tower-audit.{}", plain_string(event.event_type.as_str())))?;
        map.serialize_entry("time", &event.created_at)?;
        let target = event.targets.first().map(ToString::to_string);
        // An attribute is never empty.
        let subject = target.as_deref().or(event.resource.route.as_deref()).filter(|subject| !subject.is_empty());
        if let Some(subject) = subject {
            map.serialize_entry("subject", &plain_string(subject))?;
        }
        // Extension attributes: lower-case letters and digits (section "Naming conventions").
        map.serialize_entry("auditphase", event.phase.as_str())?;
        if let Some(name) = event.actor.user_email.as_deref().filter(|name| !name.is_empty()) {
            map.serialize_entry("auditactor", &plain_string(name))?;
        }
        if let Some(status) = event.outcome {
            map.serialize_entry("auditoutcome", &status)?;
        }
        map.serialize_entry("datacontenttype", "application/json")?;
        map.serialize_entry("data", event)?;
        map.end()
    }
}
