//! OpenTelemetry's own definitions for Python read each record.

use std::process::Command;

use serde_json::Value;
use tower_audit::AuditEvent;
use tower_audit::export::Profile;

use super::corpus::{corpus, lines, source};
use super::foreign_packages::{output, python};

#[test]
fn every_record_is_one_of_the_protocol() {
    let events = corpus();
    let python = python(&["opentelemetry-proto==1.45.2"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/profiles/otlp.py");
    let read = output(Command::new(python).arg(script), lines(Profile::Otlp, &events).as_bytes());
    let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.len(), events.len());
    for (read, event) in read.iter().zip(&events) {
        let attributes = &read["attributes"];
        assert_eq!(
            read["time"].as_u64(),
            u64::try_from(event.created_at.as_micros()).ok().and_then(|us| us.checked_mul(1000))
        );
        assert_eq!((&read["service"], &read["severity"]), (&source().as_str().into(), &0.into()));
        assert_eq!(read["name"], format!("tower-audit.{}", event.event_type));
        assert_eq!(attributes["audit.record.id"], event.event_id.to_string());
        assert_eq!(attributes["http.response.status_code"].as_u64(), event.outcome.map(u64::from));
        assert_eq!(attributes["user.name"].as_str(), event.actor.user_email.as_deref());
        let trace = event.request.trace_id.as_deref().filter(|id| id.starts_with("0af7"));
        assert_eq!(read["trace"].as_str().filter(|id| !id.is_empty()), trace);
        let original: AuditEvent = serde_json::from_str(read["body"].as_str().expect("text")).expect("an event");
        assert_eq!(original.event_id, event.event_id);
    }
}
