//! The shape of Nexus IQ Server's audit log (its documentation, "Audit Log Reference").
//!
//! An attribute without a value is absent. `data` has the event's details, and in `event` the whole event, so that nothing
//! is lost and the log can be read back.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::event::{AuditEvent, Timestamp};

/// Appends the event in this shape, without a line feed.
pub(super) fn encode(event: &AuditEvent, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(lines, &Attributes(event))
}

struct Attributes<'a>(&'a AuditEvent);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &timestamp(event.created_at))?;
        let uri = event.request.request_uri.as_deref().or(event.resource.route.as_deref());
        let optional = [
            ("requestMethod", event.resource.method.as_deref()),
            ("requestUri", uri),
            ("remoteIpAddress", event.actor.remote_addr.as_deref()),
            ("userAgent", event.request.user_agent.as_deref()),
            ("forwarded", event.request.forwarded.as_deref()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        let is_request = event.resource.method.is_some() || uri.is_some();
        let nobody = if is_request { "*UNKNOWN" } else { "*SYSTEM" };
        map.serialize_entry("username", event.actor.user_email.as_deref().unwrap_or(nobody))?;
        let (domain, action) = classification(event);
        map.serialize_entry("domain", domain)?;
        map.serialize_entry("type", action)?;
        if let Some(error) = &event.classification.error {
            map.serialize_entry("error", error)?;
        }
        map.serialize_entry("data", &Data(event))?;
        map.end()
    }
}

struct Data<'a>(&'a AuditEvent);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.details.iter().filter(|(name, _)| *name != "event") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("event", self.0)?;
        map.end()
    }
}

/// The domain and the type: the event's own, else those of the event type, `DOMAIN.TYPE`.
fn classification(event: &AuditEvent) -> (&str, &str) {
    let name = event.event_type.as_str();
    let (domain, action) = match name.rsplit_once('.') {
        Some(parts) => parts,
        None if name == "auth" => {
            let has_failed = event.classification.error.is_some() || event.outcome.is_some_and(|status| status >= 400);
            ("authentication", if has_failed { "failure" } else { "login" })
        }
        None => (name, name),
    };
    let own = &event.classification;
    (own.domain.as_deref().unwrap_or(domain), own.action.as_deref().unwrap_or(action))
}

/// ISO 8601 with three digits and the offset, always: `2026-05-25T12:00:00.123+00:00`.
fn timestamp(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}+00:00", text.get(..23).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, ErrorCode, EventType};

    fn line(event: &AuditEvent) -> String {
        let mut line = Vec::new();
        encode(event, &mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn attributes_have_their_names_and_order() {
        let mut event = AuditEvent::new(EventType::AUTH);
        event.created_at = "2018-10-20T13:45:30.249999Z".parse().unwrap();
        event.actor = Actor::user("admin");
        event.actor.remote_addr = Some("127.0.0.1".into());
        event.resource.method = Some("POST".into());
        event.request.request_uri = Some("/rest/user/session".into());
        event.request.user_agent = Some("Mozilla/5.0".into());
        event.request.forwarded = Some("for=127.0.0.1".into());
        event.classification.error = Some(ErrorCode::UNAUTHORIZED);
        event.details.insert("applicationName".into(), "a".into());
        let whole = line(&event);
        let expected = "{\"timestamp\":\"2018-10-20T13:45:30.249+00:00\",\"requestMethod\":\"POST\",\
            \"requestUri\":\"/rest/user/session\",\"remoteIpAddress\":\"127.0.0.1\",\"userAgent\":\"Mozilla/5.0\",\
            \"forwarded\":\"for=127.0.0.1\",\"username\":\"admin\",\"domain\":\"authentication\",\"type\":\"failure\",\
            \"error\":\"unauthorized\",\"data\":{\"applicationName\":\"a\",\"event\":{\"event_id\":";
        assert!(whole.starts_with(expected), "{whole}");
    }

    #[test]
    fn optional_attributes_are_absent_and_nobody_has_a_name() {
        let mut event = AuditEvent::new(EventType::new("server.start").unwrap());
        event.created_at = "2026-05-25T12:00:04Z".parse().unwrap();
        let system = line(&event);
        assert!(
            system.starts_with(
                "{\"timestamp\":\"2026-05-25T12:00:04.000+00:00\",\"username\":\"*SYSTEM\",\"domain\":\"server\",\
                 \"type\":\"start\",\"data\":{\"event\":{"
            ),
            "{system}"
        );
        event.resource.method = Some("GET".into());
        assert!(line(&event).contains("\"username\":\"*UNKNOWN\""));
    }
}
