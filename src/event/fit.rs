//! The bounds and the weight of an event.
//!
//! A value that a client sends can neither suppress nor bloat its event: it is truncated to its [limit](super::limits).
//!
//! A name of the format among the entries of `extra` gets an underscore in front: `actor.extra["user_email"]` becomes
//! `_user_email`. So no object of an event has a name twice, and a filter compares the value that is shown. The `$` of a key
//! that begins with `$serde_json::private::` becomes U+FFFD: serde_json reserves these names, and would not read the value
//! back. Names that become equal are told apart by `_`, `_2_`, `_3_`, … in front; no value is lost.

use serde_json::Value;

use super::details::truncate_map;
use super::limits::{MAX_DETAILS_BYTES, MAX_EXTRA_BYTES};
use super::{Actor, AuditEvent, Classification, Details, RequestInfo, Resource, Target, Targets, address};

impl AuditEvent {
    /// Makes every part of the event fit its limit, and puts its address into the one form that filters know: without a
    /// port, IPv4 where it was mapped into IPv6. Doing it twice changes nothing more.
    ///
    /// [`AuditLog::record`](crate::AuditLog::record) and the layer do it with each event.
    pub fn truncate_to_limits(&mut self) {
        if let Some(canonical) = self.actor.remote_addr.as_deref().and_then(address::canonical) {
            self.actor.remote_addr = Some(canonical);
        }
        self.truncate_fields();
        self.targets.truncate_to_limits();
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
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.fields_weight()
            + of_targets(&self.targets)
            + (of_object(&self.details) + of_object(&self.extra))
            + (of_object(&self.actor.extra) + of_object(&self.resource.extra))
            + (of_object(&self.request.extra) + of_object(&self.classification.extra))
    }
}

#[inline]
fn of_targets(targets: &Targets) -> usize {
    targets.iter().map(of_target).sum()
}

fn of_target(target: &Target) -> usize {
    let texts = target.target_type.len() + target.id.len() + target.label.as_ref().map_or(0, |label| label.len());
    size_of::<Target>() + texts + of_object(&target.extra)
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
    use crate::event::details::json_len;
    use crate::event::limits::{MAX_EVENT_BYTES, MAX_NAME_BYTES};
    use crate::event::{EventField, EventType, FIELDS, Phase};
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
        for field in FIELDS {
            field.set_text(&mut event, &worst);
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
        const OBJECTS: [&str; 5] =
            ["actor.later", "resource.later", "request.later", "classification.later", "details.later"];
        let long = "x".repeat(BYTES);
        let mut event = serde_json::to_value(AuditEvent::new(EventType::UPLOAD)).unwrap();
        let bare = serde_json::from_value::<AuditEvent>(event.clone()).unwrap().weight();
        let weigh = |event: &serde_json::Value| serde_json::from_value::<AuditEvent>(event.clone()).unwrap().weight();
        let texts = FIELDS.iter().filter(|field| field.max_bytes().is_some()).map(EventField::path);
        for path in texts.chain(OBJECTS) {
            let Some((object, name)) = path.split_once('.') else { continue };
            event[object][name] = json!(long);
            let weight = weigh(&event);
            assert!((bare + BYTES..bare + BYTES + 200).contains(&weight), "{path}: {weight}");
            event[object].as_object_mut().unwrap().remove(name);
        }
        for name in ["later", "event_type"] {
            event[name] = json!(long);
            assert!(weigh(&event) >= bare + BYTES, "{name}");
            event[name] = json!("upload");
        }
    }
}
