//! The attributes of Nexus IQ Server's audit log.

use serde_json::{Value, json};

use super::members::Members;
use super::{ImportFormat, ImportNote, Rejection};
use crate::event::{AuditEvent, EventId, EventType, Timestamp, nexus_iq};

/// The type of an event whose domain and type make no name.
const OTHER: &str = "iq.event";

/// Names for nobody.
const UNKNOWN: &str = "*UNKNOWN";
const SYSTEM: &str = "*SYSTEM";

/// Makes an event of the attributes.
pub(super) fn event(
    mut members: Members,
    id: impl FnOnce(Timestamp) -> EventId,
) -> Result<(AuditEvent, Vec<ImportNote>), Rejection> {
    let at: Timestamp = match members.take("timestamp") {
        None => return Err(Rejection::NoTime),
        Some(Value::String(text)) => text.parse().map_err(|_| Rejection::BadTime)?,
        Some(_) => return Err(Rejection::BadTime),
    };
    let (domain, action) = (members.text("domain"), members.text("type"));
    let event_type = match (domain.as_deref(), action.as_deref()) {
        (Some(nexus_iq::AUTHENTICATION), _) => EventType::AUTH,
        (Some(domain), Some(action)) => EventType::new(&format!("{domain}.{action}")).unwrap_or_else(|_| other()),
        _ => other(),
    };
    let mut event = AuditEvent::new(event_type);
    event.event_id = id(at);
    event.created_at = at;
    event.resource.method = members.text("requestMethod");
    event.request.request_uri = members.text("requestUri");
    event.actor.remote_addr = members.text("remoteIpAddress");
    event.request.user_agent = members.text("userAgent");
    event.request.forwarded = members.text("forwarded");
    let is_request = event.resource.method.is_some() || event.request.request_uri.is_some();
    match members.text("username") {
        // The name that such an event has when it is written again.
        Some(name) if name == (if is_request { UNKNOWN } else { SYSTEM }) => {}
        Some(name) if name == UNKNOWN || name == SYSTEM => members.keep("username", json!(name)),
        name => event.actor.user_email = name,
    }
    event.classification.domain = domain;
    event.classification.action = action;
    if let Some(error) = members.text("error") {
        // A code of a later list is kept as it is.
        event.classification.error = serde_json::from_value(json!(error)).ok();
    }
    if let Some(data) = members.object("data") {
        event.details = data;
    }
    let notes = members.finish(ImportFormat::Iq, &mut event.details);
    Ok((event, notes))
}

fn other() -> EventType {
    EventType::as_stored(OTHER)
}
