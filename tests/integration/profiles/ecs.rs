//! Documents of ECS 9.4 against its fields, their types and its closed lists, kept here as data.

use std::net::IpAddr;

use serde_json::Value;
use tower_audit::export::Profile;
use tower_audit::{AuditEvent, Timestamp};

use super::corpus::{corpus, lines, source};

/// Fields of the schema and their types: those that a document may have.
const FIELDS: &[(&str, &str)] = &[
    ("@timestamp", "date"),
    ("client.address", "keyword"),
    ("client.ip", "ip"),
    ("ecs.version", "keyword"),
    ("error.code", "keyword"),
    ("event.action", "keyword"),
    ("event.category", "keywords"),
    ("event.code", "keyword"),
    ("event.dataset", "keyword"),
    ("event.duration", "long"),
    ("event.id", "keyword"),
    ("event.kind", "keyword"),
    ("event.module", "keyword"),
    ("event.original", "keyword"),
    ("event.outcome", "keyword"),
    ("event.provider", "keyword"),
    ("event.reason", "keyword"),
    ("event.type", "keywords"),
    ("http.request.id", "keyword"),
    ("http.request.method", "keyword"),
    ("http.response.status_code", "long"),
    ("labels", "object of keywords"),
    ("message", "match_only_text"),
    ("related.ip", "ips"),
    ("related.user", "keywords"),
    ("service.name", "keyword"),
    ("source.address", "keyword"),
    ("source.ip", "ip"),
    ("trace.id", "keyword"),
    ("url.original", "wildcard"),
    ("url.path", "wildcard"),
    ("url.query", "keyword"),
    ("user.effective.name", "keyword"),
    ("user.name", "keyword"),
    ("user_agent.original", "keyword"),
];

/// The categories that are used, each with every type that the schema expects with it.
const CATEGORIES: &[(&str, &[&str])] = &[
    (
        "api",
        &["access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info", "start", "user"],
    ),
    ("authentication", &["start", "end", "info"]),
];

#[test]
fn every_document_has_fields_of_the_schema_alone() {
    let events = corpus();
    let text = lines(Profile::Ecs, &events);
    for (line, event) in text.lines().zip(&events) {
        let document: Value = serde_json::from_str(line).expect("JSON");
        check(&document, "");
        let fields = &document["event"];
        assert_eq!((&document["ecs"]["version"], &fields["kind"]), (&"9.4.0".into(), &"event".into()));
        assert!(["success", "failure", "unknown"].contains(&fields["outcome"].as_str().expect("an outcome")));
        for category in fields["category"].as_array().expect("an array") {
            let (_, types) = CATEGORIES.iter().find(|(name, _)| *category == *name).expect("a category of the schema");
            let given = fields["type"].as_array().expect("an array");
            assert!(!given.is_empty() && given.iter().all(|it| types.contains(&it.as_str().expect("text"))), "{line}");
        }
        assert_eq!(document["service"]["name"], source().as_str());
        assert_eq!(document["user"]["name"].as_str(), event.actor.user_email.as_deref());
        assert_eq!(document["http"]["response"]["status_code"].as_u64(), event.outcome.map(u64::from));
        let original: AuditEvent = serde_json::from_str(fields["original"].as_str().expect("text")).expect("an event");
        assert_eq!(original.event_id, event.event_id);
    }
}

fn check(value: &Value, path: &str) {
    if let Some((_, kind)) = FIELDS.iter().find(|(name, _)| *name == path) {
        let text = || value.as_str().unwrap_or_else(|| panic!("{path} is no text: {value}"));
        let items = || value.as_array().unwrap_or_else(|| panic!("{path} is no array: {value}"));
        match *kind {
            "keyword" | "wildcard" | "match_only_text" => drop(text()),
            "keywords" => assert!(items().iter().all(Value::is_string), "{path}: {value}"),
            "ip" => drop(text().parse::<IpAddr>().unwrap_or_else(|_| panic!("{path}: {value}"))),
            "ips" => assert!(items().iter().all(|ip| ip.as_str().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()))),
            "date" => drop(text().parse::<Timestamp>().expect("a time")),
            "long" => assert!(value.as_i64().is_some(), "{path}: {value}"),
            "object of keywords" => {
                let labels = value.as_object().expect("an object");
                assert!(labels.iter().all(|(name, value)| name.starts_with("audit_") && value.is_string()), "{value}");
            }
            other => panic!("{other} is no type"),
        }
        return;
    }
    let fields = value.as_object().unwrap_or_else(|| panic!("{path} is no field of the schema"));
    assert!(!fields.is_empty(), "{path} is empty");
    for (name, value) in fields {
        check(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
    }
}

#[test]
fn the_page_has_every_field() {
    let page = include_str!("../../../docs/export.md");
    for (name, _) in FIELDS {
        assert!(page.contains(&format!("`{name}")), "docs/export.md lacks {name}");
    }
}

/// The kinds of actions, by examples.
#[test]
fn categories_and_types_are_those_of_the_action() {
    use tower_audit::EventType;
    let of = |change: fn(&mut AuditEvent)| {
        let mut event = AuditEvent::new(EventType::HTTP_MUTATION);
        change(&mut event);
        let document: Value = serde_json::from_str(&lines(Profile::Ecs, &[event])).expect("JSON");
        let fields = &document["event"];
        format!("{}{}{}", fields["category"], fields["type"], fields["outcome"])
    };
    assert_eq!(of(|event| event.classification.action = Some("deleted".into())), r#"["api"]["deletion"]"unknown""#);
    assert_eq!(
        of(|event| {
            event.event_type = EventType::ADMIN_ACTION;
            event.resource.method = Some("PUT".into());
            event.outcome = Some(403);
        }),
        r#"["api"]["change","admin","denied"]"failure""#
    );
    assert_eq!(
        of(|event| {
            event.classification.domain = Some("authentication".into());
            event.classification.action = Some("logout".into());
            event.outcome = Some(204);
        }),
        r#"["authentication"]["end"]"success""#
    );
}
