//! Every field of an event, unknown fields of later versions included.

use serde_json::{Map, Value};

use super::links::Links;
use super::operations::is_filterable;
use super::safe_html::{PrettyJson, SafeText};
use crate::api::Caller;
use crate::event::AuditEvent;
use crate::query::{Field, TextPattern};

/// A group of fields.
#[derive(Debug)]
pub(super) struct FieldGroup {
    pub(super) title: &'static str,
    pub(super) fields: Vec<EventField>,
}

/// A field and its value.
#[derive(Debug)]
pub(super) struct EventField {
    name: String,
    pub(super) value: DisplayValue,
    /// The link to events with the same value.
    pub(super) alike: Option<String>,
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum DisplayValue {
    Nothing,
    Short(String),
    /// A long value, shown folded.
    Long(String),
    /// An array or an object.
    Json(PrettyJson),
}

impl EventField {
    pub(super) fn name(&self) -> SafeText<'_> {
        SafeText::line(&self.name)
    }
}

impl DisplayValue {
    pub(super) fn short<'a>(&self, text: &'a str) -> SafeText<'a> {
        SafeText::whole(text)
    }

    pub(super) fn beginning<'a>(&self, text: &'a str) -> SafeText<'a> {
        SafeText::beginning(text)
    }
}

/// The order of groups and fields. Other fields come after these.
#[rustfmt::skip]
const GROUPS: [(&str, &str, &[&str]); 5] = [
    ("", "Event", &["event_id", "event_type", "created_at", "phase", "outcome"]),
    ("actor", "Actor", &["user_email", "acting_for", "api_key_hash", "remote_addr"]),
    ("resource", "Resource", &["method", "route"]),
    ("classification", "Classification", &["domain", "action", "error"]),
    ("request", "Request", &[
        "request_id", "started_event_id", "request_uri", "user_agent", "forwarded", "trace_id", "duration_us",
    ]),
];

/// Returns the groups with fields, without `details` and `targets`.
pub(super) fn groups(event: &AuditEvent, caller: &Caller, links: &Links) -> Vec<FieldGroup> {
    // An event is JSON.
    let Ok(Value::Object(mut rest)) = serde_json::to_value(event) else { return Vec::new() };
    rest.remove("details");
    rest.remove("targets");
    let mut parts: Vec<_> = GROUPS[1..]
        .iter()
        .filter_map(|(part, title, order)| match rest.remove(*part)? {
            Value::Object(fields) => Some((*part, *title, *order, fields)),
            _ => None,
        })
        .collect();
    let (whole, title, order) = GROUPS[0];
    parts.insert(0, (whole, title, order, rest));
    let group = |(part, title, order, mut fields): (_, _, &[&str], Map<String, Value>)| {
        let known: Vec<_> = order.iter().filter_map(|name| Some(((*name).to_owned(), fields.remove(*name)?))).collect();
        let all = known.into_iter().chain(fields);
        FieldGroup { title, fields: all.map(|(name, value)| event_field(part, name, value, caller, links)).collect() }
    };
    parts.into_iter().map(group).filter(|group: &FieldGroup| !group.fields.is_empty()).collect()
}

fn event_field(part: &str, name: String, value: Value, caller: &Caller, links: &Links) -> EventField {
    let path = if part.is_empty() { name.clone() } else { format!("{part}.{name}") };
    let is_of = |field: &&Field| {
        field.event_field().is_some_and(|field| field.path() == path)
            && (**field != Field::UserEmail || caller.is_admin())
    };
    let alike = Field::ALL.iter().find(is_of).and_then(|field| {
        let wanted = match (*field, &value) {
            (Field::Outcome, Value::Null) => "none".to_owned(),
            (Field::Outcome, value) => value.to_string(),
            (_, Value::String(text)) => TextPattern::exact(text.as_str()).to_string(),
            _ => "!*".to_owned(),
        };
        is_filterable(field.as_str(), &wanted).then(|| links.list([(field.as_str(), wanted.as_str())]))
    });
    let value = match value {
        Value::Null => DisplayValue::Nothing,
        Value::String(text) if SafeText::beginning(&text).is_cut() => DisplayValue::Long(text),
        Value::String(text) => DisplayValue::Short(text),
        Value::Bool(_) | Value::Number(_) => DisplayValue::Short(value.to_string()),
        Value::Array(_) | Value::Object(_) => DisplayValue::Json(PrettyJson::of(&value)),
    };
    EventField { name, value, alike }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventType};

    #[test]
    fn no_field_is_left_out() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.actor = Actor::user("alice");
        event.actor.extra.insert("device".into(), "d1".into());
        event.extra.insert("region".into(), serde_json::json!({ "name": "eu" }));
        event.request.extra.insert("tls".into(), 13.into());
        let groups = groups(&event, &Caller::admin("root"), &Links::from("../"));
        let names: Vec<String> = groups
            .iter()
            .flat_map(|group| group.fields.iter().map(move |fact| format!("{} {}", group.title, fact.name)))
            .collect();
        assert_eq!(
            names,
            [
                "Event event_id",
                "Event event_type",
                "Event created_at",
                "Event phase",
                "Event outcome",
                "Event region",
                "Actor user_email",
                "Actor api_key_hash",
                "Actor remote_addr",
                "Actor device",
                "Resource method",
                "Resource route",
                "Request tls",
            ]
        );
        let alike = |n: usize, m: usize| groups[n].fields[m].alike.clone();
        assert_eq!(alike(1, 0).as_deref(), Some("../?user_email=alice"));
        assert_eq!(alike(0, 4).as_deref(), Some("../?outcome=none"));
        assert_eq!(alike(2, 1).as_deref(), Some("../?route=%21%2A"));
        assert_eq!(alike(1, 3), None);
    }
}
