//! Hostile events, and the check that a collector has each of them as it was sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tower_audit::event::FIELDS;
use tower_audit::store::syslog::{SyslogSettings, SyslogStore, Template};
use tower_audit::store::{AuditStore as _, OpenOptions};
use tower_audit::{AuditEvent, Details};

use super::collector::Collector;
use crate::hostile;

/// The text of the messages: two values between the id and a word at the end.
const TEMPLATE: &str = "{event_id} {actor.user_email} {details} end";

/// The most cuts of messages that may be as large as the transport takes.
pub(super) const FEW: u64 = 20;

/// Reads a message from a collector's line of JSON.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) header: Header,
    pub(super) params: BTreeMap<String, String>,
    pub(super) text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) priority: String,
    pub(super) time: String,
    pub(super) host: String,
    pub(super) app: String,
    pub(super) process: String,
    pub(super) id: String,
}

impl Received {
    /// Reads the keys that rsyslog and syslog-ng have in common.
    pub(super) fn new(line: &Value, params: BTreeMap<String, String>) -> Self {
        let of = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let header = Header {
            priority: of("pri"),
            time: of("time"),
            host: of("host"),
            app: of("app"),
            process: of("process"),
            id: of("id"),
        };
        Self { header, params, text: of("text") }
    }
}

/// The settings of the messages that [`check`] reads.
pub(super) fn settings(settings: SyslogSettings) -> SyslogSettings {
    let settings = settings.host_name("web1").expect("a name").app_name("shop").expect("a name");
    settings.template(Template::new(TEMPLATE).expect("a template"))
}

pub(super) async fn sink(settings: SyslogSettings) -> Arc<SyslogStore> {
    let options = OpenOptions::new().timeout(Duration::from_secs(10));
    Arc::new(SyslogStore::open(settings, options).await.unwrap_or_else(|error| panic!("{error:?}")))
}

/// Sends every hostile event to a collector, compares what it has read with the events, and returns the number of messages that were
/// cut.
pub(super) async fn check(
    collector: &Collector,
    given: SyslogSettings,
    is_5424: bool,
    read: impl Fn(&Value) -> Received,
) -> u64 {
    // A burst over UDP would overflow the collector's buffer.
    let burst = if format!("{given:?}").contains("UDP") { 1 } else { 8 };
    let sink = sink(settings(given)).await;
    let events = hostile::events();
    assert!(events.len() > 90, "{} events", events.len());
    for (n, event) in events.iter().enumerate() {
        sink.append(std::slice::from_ref(event)).await.unwrap_or_else(|error| panic!("{error:?}"));
        if (n + 1).is_multiple_of(burst) {
            collector.lines("messages.json", n + 1);
        }
    }
    let received: Vec<_> = collector.messages(events.len()).iter().map(read).collect();
    let mut cut = 0;
    for (event, received) in events.iter().zip(&received) {
        let is_cut = if is_5424 { check_5424(event, received) } else { check_3164(event, received) };
        cut += u64::from(is_cut);
    }
    assert_eq!(cut, sink.cut_messages(), "every cut is visible");
    sink.close().await.expect("a sink that works can be closed");
    cut
}

fn check_5424(event: &AuditEvent, received: &Received) -> bool {
    let header = Header {
        priority: "133".into(),
        time: event.created_at.to_string().replace('Z', "+00:00"),
        host: "web1".into(),
        app: "shop".into(),
        process: std::process::id().to_string(),
        id: "upload".into(),
    };
    let time = received.header.time.replace('Z', "+00:00");
    assert_eq!(
        (&received.header, time),
        (&Header { time: received.header.time.clone(), ..header }, header_time(event))
    );
    let mut is_cut = false;
    let fields = FIELDS.iter().filter_map(|field| Some((field.name(), field.value_of(event)?.into_owned())));
    let mut read = received.params.clone();
    let omitted: usize = read.remove("omitted").map_or(0, |count| count.parse().expect("a number"));
    let mut missing = 0;
    for (name, value) in fields {
        let Some(param) = read.remove(name) else {
            missing += 1;
            continue;
        };
        is_cut |= assert_is(&param, &value, name);
    }
    for (name, value) in [
        ("details", serde_json::to_string(&event.details).expect("JSON")),
        ("targets", serde_json::to_string(&event.targets).expect("JSON")),
    ] {
        match read.remove(name).map(|param| unescape(&param)) {
            None => missing += 1,
            Some(param) if param.contains("...(cut:") => is_cut = true,
            Some(param) => assert_same_json(&param, &value),
        }
    }
    assert_eq!(missing, omitted, "{received:?}");
    assert!(read.is_empty(), "forged: {read:?}");
    is_cut | (omitted > 0) | check_text(event, &received.text)
}

fn header_time(event: &AuditEvent) -> String {
    event.created_at.to_string().replace('Z', "+00:00")
}

fn check_3164(event: &AuditEvent, received: &Received) -> bool {
    let Header { priority, app, process, .. } = &received.header;
    let process_id = std::process::id().to_string();
    assert_eq!(
        (priority.as_str(), app.as_str(), process.as_str()),
        ("133", "shop", process_id.as_str()),
        "{received:?}"
    );
    check_text(event, &received.text)
}

/// Checks the text, and returns true if it was cut.
fn check_text(event: &AuditEvent, text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parts: Vec<_> = text.strip_prefix(' ').unwrap_or(text).split(' ').collect();
    assert_eq!(parts[0], event.event_id.to_string());
    if let Some((_, length)) = text.rsplit_once("...(cut:") {
        assert!(length.ends_with(')') && parts.len() < 4, "{text}");
        return true;
    }
    assert_eq!(parts.len(), 4, "a field was forged: {text}");
    assert!(!assert_is(parts[1], event.actor.user_email.as_deref().unwrap_or_default(), "the user"));
    assert_eq!(&serde_json::from_str::<Details>(parts[2]).expect("JSON"), &event.details);
    assert_eq!(parts[3], "end");
    false
}

/// Checks that a value is the one that was sent, and returns true if it was cut.
fn assert_is(received: &str, sent: &str, name: &str) -> bool {
    match received.rsplit_once("...(cut:") {
        Some((begin, length)) => {
            assert_eq!(length, format!("{})", sent.len()), "{name}");
            assert!(sent.starts_with(&unescape(begin)), "{name}: {received}");
            true
        }
        None => {
            assert_eq!(unescape(received), sent, "{name}");
            false
        }
    }
}

fn assert_same_json(one: &str, other: &str) {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(parsed(one), parsed(other));
}

/// Reads `\u{…}`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\u{") {
        let (code, more) = after.split_once('}').expect("an escape ends");
        out.push_str(before);
        out.push(char::from_u32(u32::from_str_radix(code, 16).expect("hex digits")).expect("a character"));
        rest = more;
    }
    out + rest
}
