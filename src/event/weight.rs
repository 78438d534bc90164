//! How much memory an event takes.

use serde_json::Value;

use super::{Actor, AuditEvent, Classification, CompactText, Details, RequestInfo, Resource};

impl AuditEvent {
    /// About how many bytes of memory the event takes.
    ///
    /// Every field is named here, so that a new one cannot be left out.
    pub(crate) fn weight(&self) -> usize {
        let Self {
            event_id: _,
            event_type,
            created_at: _,
            phase: _,
            actor: Actor { user_email, api_key_hash, remote_addr, extra: of_actor },
            resource: Resource { route, method, extra: of_resource },
            outcome: _,
            details,
            request:
                RequestInfo {
                    request_id,
                    started_event_id: _,
                    request_uri,
                    user_agent,
                    forwarded,
                    trace_id,
                    duration_us: _,
                    extra: of_request,
                },
            classification: Classification { domain, action, error, extra: of_classification },
            extra,
        } = self;
        // Added up one by one: every audited request comes here, and a loop over lists takes twice as long.
        size_of::<Self>()
            + event_type.as_str().len()
            + error.as_ref().map_or(0, |error| error.as_str().len())
            + (of(user_email) + of(api_key_hash) + of(remote_addr))
            + (of(route) + of(method))
            + (of(request_id) + of(request_uri) + of(user_agent) + of(forwarded) + of(trace_id))
            + (of(domain) + of(action))
            + (of_object(details) + of_object(extra))
            + (of_object(of_actor) + of_object(of_resource) + of_object(of_request) + of_object(of_classification))
    }
}

fn of(text: &Option<CompactText>) -> usize {
    text.as_ref().map_or(0, |text| text.len())
}

#[inline]
fn of_object(entries: &Details) -> usize {
    if entries.is_empty() { 0 } else { of_entries(entries) }
}

fn of_entries(entries: &Details) -> usize {
    const ENTRY: usize = size_of::<String>() + 16;
    entries.iter().map(|(key, entry)| ENTRY + key.len() + of_value(entry)).sum()
}

fn of_value(value: &Value) -> usize {
    const NODE: usize = size_of::<Value>();
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(of_value).sum(),
        Value::Object(entries) => of_object(entries),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use serde_json::json;

    #[test]
    fn whatever_an_event_has_counts() {
        const BYTES: usize = 10_000;
        let long = "x".repeat(BYTES);
        let mut event = serde_json::to_value(AuditEvent::new(EventType::UPLOAD)).unwrap();
        let bare = serde_json::from_value::<AuditEvent>(event.clone()).unwrap().weight();
        for (object, names) in [
            ("actor", &["user_email", "api_key_hash", "remote_addr", "later"][..]),
            ("resource", &["route", "method", "later"]),
            ("request", &["request_id", "request_uri", "user_agent", "forwarded", "trace_id", "later"]),
            ("classification", &["domain", "action", "error", "later"]),
            ("details", &["later"]),
        ] {
            for name in names {
                event[object][name] = json!(long);
                let weight = serde_json::from_value::<AuditEvent>(event.clone()).unwrap().weight();
                assert!((bare + BYTES..bare + BYTES + 200).contains(&weight), "{object}.{name}: {weight}");
                event[object].as_object_mut().unwrap().remove(*name);
            }
        }
        for name in ["later", "event_type"] {
            event[name] = json!(long);
            assert!(serde_json::from_value::<AuditEvent>(event.clone()).unwrap().weight() >= bare + BYTES, "{name}");
            event[name] = json!("upload");
        }
    }
}
