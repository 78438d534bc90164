//! liblognorm, the parser of rsyslog's `mmnormalize`, reads every line.

use std::process::Command;

use serde_json::Value;
use tower_audit::AuditEvent;
use tower_audit::export::{Profile, is_unsafe_to_display};

use super::corpus::{corpus, lines, source};
use super::foreign_packages::output;

#[test]
fn liblognorm_reads_the_values_of_every_event() {
    let events = corpus();
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("cef.rulebase");
    std::fs::write(&rules, "version=2\nrule=:%cef:cef%\n").expect("a file");
    let text = lines(Profile::Cef, &events);
    let mut command = Command::new("lognormalizer");
    let read = output(command.arg("-r").arg(&rules).args(["-e", "json"]), text.as_bytes());
    let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.len(), events.len());
    for ((read, event), line) in read.iter().zip(&events).zip(text.lines()) {
        let cef = &read["cef"];
        assert!(cef.is_object(), "no CEF: {line}");
        assert_eq!((&cef["DeviceVendor"], &cef["DeviceProduct"]), (&"tower-audit".into(), &source().as_str().into()));
        assert_eq!(cef["SignatureID"], shown(event.event_type.as_str()), "{line}");
        let severity: u8 = cef["Severity"].as_str().and_then(|text| text.parse().ok()).expect("a severity");
        assert!(severity <= 10);
        for (key, value) in expected(event) {
            let value = value.filter(|value| !value.is_empty());
            let found = cef["Extensions"][key].as_str();
            assert_eq!(found, value.as_deref().map(shown).as_deref(), "{key} in {line}");
        }
        // No value makes a key of its own: each that is there is one of the documented ones.
        for key in cef["Extensions"].as_object().expect("an extension").keys() {
            // liblognorm 2.0.6 drops the first letter of the first key, `rt`.
            assert!(KEYS.contains(&key.as_str()) || key == "t", "{key} in {line}");
        }
    }
}

const KEYS: &[&str] = &[
    "rt",
    "externalId",
    "cat",
    "act",
    "outcome",
    "reason",
    "suser",
    "src",
    "c6a2",
    "c6a2Label",
    "shost",
    "requestMethod",
    "request",
    "requestClientApplication",
    "cn1",
    "cn1Label",
    "cn2",
    "cn2Label",
    "cs1",
    "cs1Label",
    "cs2",
    "cs2Label",
    "cs3",
    "cs3Label",
    "cs4",
    "cs4Label",
    "cs5",
    "cs5Label",
    "cs6",
    "cs6Label",
    "flexString1",
    "flexString1Label",
    "flexString2",
    "flexString2Label",
];

#[test]
fn the_page_has_every_key() {
    let page = include_str!("../../../docs/export.md");
    assert!(KEYS.iter().all(|key| page.contains(&format!("`{key}`"))));
}

fn expected(event: &AuditEvent) -> Vec<(&'static str, Option<String>)> {
    let text = |text: Option<&str>| text.filter(|text| text.len() <= 1023).map(str::to_owned);
    let mut expected = vec![
        ("t", Some((event.created_at.as_micros() / 1000).to_string())),
        ("externalId", Some(event.event_id.to_string())),
        ("flexString1", Some(event.phase.as_str().to_owned())),
        ("cn1", event.outcome.map(|status| status.to_string())),
    ];
    for (key, value) in [
        ("suser", event.actor.user_email.as_deref()),
        ("requestMethod", event.resource.method.as_deref()),
        ("cs1", event.resource.route.as_deref()),
        ("request", event.request.request_uri.as_deref()),
        ("requestClientApplication", event.request.user_agent.as_deref()),
        ("cs2", event.request.request_id.as_deref()),
        ("act", event.classification.action.as_deref()),
    ] {
        if value.is_none_or(|value| value.len() <= 1023) {
            expected.push((key, text(value)));
        }
    }
    expected
}

/// The text as `docs/export.md` has it: what is unsafe to display as `\u{202e}`, but for line ends.
fn shown(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut shown = String::new();
    for (at, c) in text.char_indices() {
        let is_like_escape = c == '\\' && text[at + 1..].starts_with("u{");
        match c {
            '\0' => shown.push('\u{fffd}'),
            '\n' | '\r' => shown.push(c),
            _ if is_unsafe_to_display(c) || is_like_escape || (c == ' ' && (at == 0 || at == last)) => {
                shown.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            _ => shown.push(c),
        }
    }
    shown
}

/// The escapes of the format's specification, by an example.
#[test]
fn header_and_extension_have_their_own_escapes() {
    let mut event = super::corpus::kinds().remove(0);
    event.classification.domain = Some("a|b=c\\d".into());
    event.classification.action = Some("x\ny".into());
    event.actor.user_email = Some("a=b|c\\d\r\n src=192.0.2.1".into());
    let line = lines(Profile::Cef, &[event]);
    assert!(line.contains("|a\\|b=c\\\\d x\\\\u{a}y|"), "{line}");
    assert!(line.contains(" suser=a\\=b|c\\\\d\\r\\n src\\=192.0.2.1 "), "{line}");
}
