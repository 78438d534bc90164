//! The bounds and the weight of an event.
//!
//! A value that a client sends can neither suppress nor bloat its event: it is truncated to its [limit](super::limits).
//!
//! A name of the format among the entries of `extra` gets an underscore in front: `actor.extra["user_email"]` becomes
//! `_user_email`. So no object of an event has a name twice, and a filter compares the value that is shown. The `$` of a key
//! that begins with `$serde_json::private::` becomes U+FFFD: serde_json reserves these names, and would not read the value
//! back. Names that become equal are told apart by `_`, `_2_`, `_3_`, … in front; no value is lost.

use std::borrow::Cow;

use serde_json::Value;

use super::details::truncate_map;
use super::limits::{
    MAX_ADDR_BYTES, MAX_DETAILS_BYTES, MAX_EXTRA_BYTES, MAX_HEADER_BYTES, MAX_METHOD_BYTES, MAX_NAME_BYTES,
    MAX_ROUTE_BYTES, MAX_URI_BYTES, MAX_USER_EMAIL_BYTES,
};
use super::truncate::truncate;
use super::{Actor, AuditEvent, Classification, CompactText, Details, ErrorCode, RequestInfo, Resource, address};

impl AuditEvent {
    /// Makes every part of the event fit its limit, and puts its address into the one form that filters know: without a
    /// port, IPv4 where it was mapped into IPv6. Doing it twice changes nothing more.
    ///
    /// [`AuditLog::record`](crate::AuditLog::record) and the layer do it with each event.
    pub fn truncate_to_limits(&mut self) {
        self.event_type.truncate_to_limit();
        let actor = &mut self.actor;
        truncate_text(&mut actor.user_email, MAX_USER_EMAIL_BYTES);
        truncate_text(&mut actor.api_key_hash, MAX_ADDR_BYTES);
        if let Some(canonical) = actor.remote_addr.as_deref().and_then(address::canonical) {
            actor.remote_addr = Some(canonical);
        }
        truncate_text(&mut actor.remote_addr, MAX_ADDR_BYTES);
        truncate_text(&mut self.resource.route, MAX_ROUTE_BYTES);
        truncate_text(&mut self.resource.method, MAX_METHOD_BYTES);
        let request = &mut self.request;
        truncate_text(&mut request.request_id, MAX_NAME_BYTES);
        truncate_text(&mut request.trace_id, MAX_NAME_BYTES);
        truncate_text(&mut request.request_uri, MAX_URI_BYTES);
        truncate_text(&mut request.user_agent, MAX_HEADER_BYTES);
        truncate_text(&mut request.forwarded, MAX_HEADER_BYTES);
        truncate_text(&mut self.classification.domain, MAX_NAME_BYTES);
        truncate_text(&mut self.classification.action, MAX_NAME_BYTES);
        self.classification.error.iter_mut().for_each(ErrorCode::truncate_to_limit);
        truncate_map(&mut self.details, &[], MAX_DETAILS_BYTES);
        for (unknown, reserved) in [
            (&mut self.extra, Self::NAMES),
            (&mut self.actor.extra, Actor::NAMES),
            (&mut self.resource.extra, Resource::NAMES),
            (&mut self.request.extra, RequestInfo::NAMES),
            (&mut self.classification.extra, Classification::NAMES),
        ] {
            truncate_map(unknown, reserved, MAX_EXTRA_BYTES);
        }
    }
}

impl AuditEvent {
    /// Returns the event's approximate size in memory, in bytes.
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

fn truncate_text(text: &mut Option<CompactText>, limit: usize) {
    if let Some(given) = text
        && let Cow::Owned(fitting) = truncate(given, limit)
    {
        *given = fitting.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::details::json_len;
    use crate::event::limits::MAX_EVENT_BYTES;
    use crate::event::{EventType, Phase};
    use serde_json::json;

    #[test]
    fn the_largest_details_give_way_and_the_rest_stays() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details.insert("count".into(), json!(17));
        event.details.insert("names".into(), json!(vec!["x".repeat(100); 1000]));
        event.truncate_to_limits();
        assert_eq!(event.details["count"], 17);
        assert!(event.details["names"].as_str().unwrap().contains("[cut: "));
        assert!(json_len(&event.details) <= MAX_DETAILS_BYTES);
    }

    #[test]
    fn no_event_exceeds_the_limit_of_all() {
        let worst = "\u{1}".repeat(1 << 14);
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.phase = Phase::Completed;
        event.event_type = serde_json::from_value(json!(worst)).unwrap();
        event.classification.error = Some(serde_json::from_value(json!(worst)).unwrap());
        for text in [
            &mut event.actor.user_email,
            &mut event.actor.api_key_hash,
            &mut event.actor.remote_addr,
            &mut event.resource.route,
            &mut event.resource.method,
            &mut event.request.request_id,
            &mut event.request.request_uri,
            &mut event.request.user_agent,
            &mut event.request.forwarded,
            &mut event.request.trace_id,
            &mut event.classification.domain,
            &mut event.classification.action,
        ] {
            *text = Some(worst.as_str().into());
        }
        for n in 0..200 {
            event.details.insert(format!("{n}{worst:.300}"), json!(worst));
            event.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.actor.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.resource.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.request.extra.insert(format!("{n}{worst:.300}"), json!(worst));
            event.classification.extra.insert(format!("{n}{worst:.300}"), json!(worst));
        }
        event.truncate_to_limits();
        assert!(json_len(&event) <= MAX_EVENT_BYTES, "{}", json_len(&event));
        let once = event.clone();
        event.truncate_to_limits();
        assert_eq!(event, once);
    }

    #[test]
    fn a_name_that_serde_json_has_for_itself_comes_back() {
        for name in ["RawValue", "Number"] {
            let name = format!("$serde_json::private::{name}");
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.details.insert("sent".into(), json!([{ name.clone(): "no JSON" }]));
            event.extra.insert(name.clone(), json!({ name.clone(): 1, "a": 2 }));
            event.truncate_to_limits();
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<AuditEvent>(&json).unwrap(), event);
            assert_eq!(
                serde_json::from_str::<Value>(&json).unwrap()["details"]["sent"][0][name.replace('$', "\u{fffd}")],
                "no JSON"
            );
        }
    }

    #[test]
    fn a_type_and_a_code_of_a_later_version_fit() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.event_type = serde_json::from_value(json!("\0later".repeat(100_000))).unwrap();
        event.classification.error = Some(serde_json::from_value(json!("\0")).unwrap());
        event.truncate_to_limits();
        let name = event.event_type.as_str();
        assert!(name.len() <= MAX_NAME_BYTES && name.contains("[cut: 600000 bytes"), "{name}");
        assert_eq!(event.classification.error.as_ref().unwrap().as_str(), "\u{fffd}");
        let once = event.clone();
        event.truncate_to_limits();
        assert_eq!(event, once);
    }

    #[test]
    fn deep_nesting_is_cut() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details.insert("deep".into(), deep);
        event.truncate_to_limits();
        assert!(event.details["deep"].to_string().contains("[cut: "));
    }

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
