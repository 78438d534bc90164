//! The SDK of the CloudEvents project validates each event by the specification's schema.

use std::process::Command;

use serde_json::Value;
use tower_audit::export::{Profile, ProfileFormat};

use super::corpus::{corpus, lines, source, written};
use super::foreign_packages::{node_modules, output};

#[test]
fn the_sdk_accepts_every_event_and_has_its_values() {
    let events = corpus();
    let modules = node_modules(&["cloudevents@10.0.0"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/profiles/cloud_events.mjs");
    let array = written(ProfileFormat::array(Profile::CloudEvents, source()).expect("an array"), &events);
    for (mode, input) in [("lines", lines(Profile::CloudEvents, &events)), ("batch", array)] {
        let read = output(Command::new("node").arg(script).arg(&modules).arg(mode), input.as_bytes());
        let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(read.len(), events.len());
        for (read, event) in read.iter().zip(&events) {
            assert_eq!(read["id"], event.event_id.to_string());
            assert_eq!((&read["specversion"], &read["source"]), (&"1.0".into(), &source().as_str().into()));
            assert_eq!(read["type"], format!("tower-audit.{}", event.event_type));
            assert_eq!(read["auditphase"], event.phase.as_str());
            assert_eq!(read["auditoutcome"].as_u64(), event.outcome.map(u64::from));
            // The data are read back elsewhere: a number of JavaScript is no integer of 64 bits.
            assert_eq!(read["data"]["event_id"], event.event_id.to_string());
            assert_eq!(read["data"]["actor"]["user_email"].as_str(), event.actor.user_email.as_deref());
        }
    }
}
