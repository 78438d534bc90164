//! The schema of OCSF 1.8.0 validates each event.

use std::process::Command;

use serde_json::Value;
use tower_audit::AuditEvent;
use tower_audit::export::Profile;

use super::corpus::{corpus, kinds, lines, source};
use super::foreign_packages::{output, python};

#[test]
fn every_event_is_valid_by_its_class() {
    let events = corpus();
    let python = python(&["ocsf-json-schema==1.2.0", "jsonschema==4.26.0"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/profiles/ocsf.py");
    let text = lines(Profile::Ocsf, &events);
    let classes = output(Command::new(python).arg(script), text.as_bytes());
    let classes: Vec<_> = classes.lines().collect();
    assert_eq!(classes.len(), events.len());
    for class in ["api_activity", "authentication", "account_change"] {
        assert!(classes.contains(&class), "no event is of {class}");
    }
    for (line, event) in text.lines().zip(&events) {
        let read: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(read["metadata"]["uid"], event.event_id.to_string());
        assert_eq!(read["metadata"]["product"]["name"], source().as_str());
        assert_eq!(read["time"], event.created_at.as_micros() / 1000);
        let original: AuditEvent = serde_json::from_str(read["raw_data"].as_str().expect("text")).expect("an event");
        assert_eq!(original.event_id, event.event_id);
    }
}

#[test]
fn classes_and_activities_are_those_of_the_action() {
    let types = |domain: &str, action: &str| {
        let of = |event: &&AuditEvent| {
            event.classification.domain.as_deref() == Some(domain)
                && event.classification.action.as_deref() == Some(action)
        };
        let event = kinds().iter().find(of).expect("an event").clone();
        let read: Value = serde_json::from_str(&lines(Profile::Ocsf, &[event])).expect("JSON");
        (read["type_uid"].as_u64(), read["type_name"].as_str().expect("a name").to_owned(), read["status"].clone())
    };
    for (domain, action, uid, name, status) in [
        ("authentication", "login", 300_201, "Authentication: Logon", "Unknown"),
        ("authentication", "logout", 300_202, "Authentication: Logoff", "Unknown"),
        ("authentication", "failure", 300_201, "Authentication: Logon", "Failure"),
        ("security.user", "create", 300_101, "Account Change: Create", "Unknown"),
        ("security.user", "delete", 300_106, "Account Change: Delete", "Unknown"),
        ("security.user", "update", 300_199, "Account Change: update", "Unknown"),
        ("security.user.password", "reset", 300_104, "Account Change: Password Reset", "Unknown"),
        ("security.user.password", "update", 300_103, "Account Change: Password Change", "Unknown"),
        ("governance.policy", "import", 600_301, "API Activity: Create", "Unknown"),
    ] {
        assert_eq!(types(domain, action), (Some(uid), name.to_owned(), status.into()), "{domain} {action}");
    }
}
