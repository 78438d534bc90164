//! The sink `tracing:`: its lines, and subscribers that refuse, panic or block.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_audit::event::Target;
use tower_audit::policy::presets;
use tower_audit::store::conformance::{FreshStore, Harness, Need};
use tower_audit::store::tracing::TracingStore;
use tower_audit::store::{AuditStore, Capabilities, Diagnostic, Severity, StoreFuture};
use tower_audit::writer::RecordErrorKind;
use tower_audit::{Actor, AuditEvent, AuditLayer, AuditLog, ErrorCode, EventType};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber as _;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// A line as a subscriber gets it.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    target: String,
    level: Level,
    fields: BTreeMap<&'static str, Value>,
}

/// A subscriber that keeps the lines of one target, and misbehaves if told to.
#[derive(Clone, Default)]
struct Listener(Arc<Listening>);

#[derive(Default)]
struct Listening {
    lines: Mutex<Vec<Line>>,
    is_deaf: AtomicBool,
    /// The number of lines until one panics; 0 for none.
    panics_at: AtomicUsize,
    blocks: AtomicBool,
}

impl Listener {
    fn lines(&self) -> Vec<Line> {
        self.0.lines.lock().expect("no panic").clone()
    }

    /// The ids of the lines.
    fn ids(&self) -> Vec<String> {
        self.lines().iter().map(|line| line.fields["event_id"].as_str().expect("text").to_owned()).collect()
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pi-audit") && !self.0.is_deaf.load(Ordering::SeqCst)
    }

    fn event(&self, event: &Event<'_>) {
        let begun = Instant::now();
        while self.0.blocks.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the test lets it go");
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.0.panics_at.load(Ordering::SeqCst) > 0 && self.0.panics_at.fetch_sub(1, Ordering::SeqCst) == 1 {
            panic!("failed printing to stderr");
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (target, level) = (event.metadata().target().to_owned(), *event.metadata().level());
        self.0.lines.lock().expect("no panic").push(Line { target, level, fields: fields.0 });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        panic!("{field} is no text and no number: {value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value.into());
    }
}

/// The output of `tracing_subscriber::fmt`.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn event(value: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user(value).acting_for(value);
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.actor.api_key_hash = Some(value.into());
    (event.resource.route, event.resource.method) = (Some(value.into()), Some("POST".into()));
    event.targets.insert(Target::new("order", value));
    event.outcome = Some(500);
    event.details.insert(value.into(), value.into());
    let request = &mut event.request;
    (request.request_id, request.request_uri) = (Some(value.into()), Some(value.into()));
    (request.user_agent, request.forwarded, request.trace_id) =
        (Some(value.into()), Some(value.into()), Some(value.into()));
    request.started_event_id = Some(event.event_id);
    request.duration_us = Some(1234);
    let names = &mut event.classification;
    (names.domain, names.action) = (Some(value.into()), Some(value.into()));
    names.error = Some(ErrorCode::SERVER_ERROR);
    event.extra.insert("later".into(), value.into());
    event
}

#[tokio::test]
async fn a_line_has_the_fields_of_the_event() {
    let listener = Listener::default();
    let _guard = set_default(listener.clone());
    let log = AuditLog::open("tracing:pi-audit?level=warn").await.expect("it opens");
    let event = event("a value");
    log.record(event.clone()).await.expect("the subscriber takes it");
    let [line] = &listener.lines()[..] else { panic!("one line: {:?}", listener.lines()) };
    assert_eq!((line.target.as_str(), line.level), ("pi-audit", Level::WARN));
    let id = event.event_id.to_string();
    let expected = json!({
        "message": "audit event", "event_id": id, "event_type": "upload", "created_at": event.created_at.to_string(),
        "phase": "completed", "user_email": "a value", "acting_for": "a value", "api_key_hash": "a value",
        "remote_addr": "192.0.2.7", "route": "a value", "method": "POST", "outcome": 500,
        "targets": r#"[{"type":"order","id":"a value"}]"#, "details": r#"{"a value":"a value"}"#,
        "request_id": "a value", "started_event_id": id, "request_uri": "a value", "user_agent": "a value",
        "forwarded": "a value", "trace_id": "a value", "duration_us": 1234, "domain": "a value", "action": "a value",
        "error": "server-error", "extra": r#"{"later":"a value"}"#,
    });
    assert_eq!(json!(line.fields), expected);
    // Each field of the page is one of a line.
    let page = include_str!("../../../docs/stores/tracing.md");
    for name in line.fields.keys() {
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/stores/tracing.md");
    }
    log.record(AuditEvent::new(EventType::AUTH)).await.expect("the subscriber takes it");
    let names: Vec<_> = listener.lines()[1].fields.keys().copied().collect();
    assert_eq!(names, ["created_at", "event_id", "event_type", "message", "phase"], "what is absent is no field");
}

#[tokio::test]
async fn no_value_ends_a_line_or_drives_a_terminal() {
    const HOSTILE: &str = "a\nINFO forged: \r\n\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{200b}\0é\"}";
    for format in ["fields", "json"] {
        let printed = Printed::default();
        let writer = printed.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _guard = set_default(subscriber);
        let log = AuditLog::open(&format!("tracing:pi-audit?format={format}")).await.expect("it opens");
        let mut events = [event(HOSTILE), event("plain")];
        for event in &mut events {
            log.record(event.clone()).await.expect("the subscriber takes it");
            event.truncate_to_limits();
        }
        let text = String::from_utf8(printed.0.lock().expect("no panic").clone()).expect("text");
        let is_unsafe = |char: char| char != '\n' && tower_audit::export::is_unsafe_to_display(char);
        assert!(!text.contains(is_unsafe), "{format}: {text:?}");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(" pi-audit: ")).collect();
        assert_eq!(lines.len(), 2, "{format}: {text}");
        assert!(!text.lines().any(|line| line.starts_with("INFO forged")), "{format}: {text}");
        match format {
            "json" => {
                let read = lines.iter().map(|line| line.split_once(" pi-audit: ").expect("a message").1);
                let read: Vec<AuditEvent> = read.map(|json| serde_json::from_str(json).expect("an event")).collect();
                assert_eq!(read, events);
            }
            _ => assert!(lines[0].contains(r#" user_email="a\\nINFO forged: \\r\\n\\u{1b}[2J"#), "{}", lines[0]),
        }
    }
}

#[tokio::test]
async fn two_values_never_look_alike() {
    let listener = Listener::default();
    let _guard = set_default(listener.clone());
    let log = AuditLog::open("tracing:pi-audit").await.expect("it opens");
    let values =
        ["\n", "\\n", "\\\n", "\\\\n", "\r", "\\r", "\t", "\\t", "\u{202e}", "\\u{202e}", "\\u{5c}n", "CORP\\anna"];
    let mut written = std::collections::BTreeSet::new();
    for value in values {
        let mut event = AuditEvent::new(EventType::AUTH);
        event.actor = Actor::user(value);
        log.record(event).await.expect("the subscriber takes it");
        let line = listener.lines().pop().expect("a line");
        assert!(written.insert(line.fields["user_email"].to_string()), "{value:?}: {written:?}");
    }
    assert!(written.contains(r#""CORP\\anna""#), "a backslash is readable: {written:?}");
}

#[tokio::test]
async fn it_says_at_the_start_that_nothing_is_durable() {
    let printed = Printed::default();
    let writer = printed.clone();
    let _guard = set_default(tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish());
    let log = AuditLog::open("tracing:").await.expect("it opens");
    log.record(AuditEvent::new(EventType::AUTH)).await.expect("the subscriber takes it");
    log.close().await.expect("nothing is left");
    let text = String::from_utf8(printed.0.lock().expect("no panic").clone()).expect("text");
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("WARN"), 1, "{text}");
    assert_eq!(count("the audit log is a sink: an acknowledged event may be lost, and none can be read"), 1, "{text}");
    assert_eq!(count("durable=false"), 1, "{text}");
    assert_eq!(count(" tower_audit::events: audit event "), 1, "{text}");
    let store = log.store().expect("it is on");
    assert!(!store.capabilities().durable && store.parts().reader.is_none());
    let found: Vec<Diagnostic> = store.diagnose().await.expect("it looks");
    assert!(found.iter().any(|it| it.subject == "durability" && it.severity == Severity::Warning), "{found:?}");
    let error = log.record(AuditEvent::new(EventType::AUTH)).await.expect_err("it is closed");
    assert_eq!(error.kind(), RecordErrorKind::Closed);
}

#[tokio::test]
async fn events_that_nobody_would_get_are_refused() {
    let error = AuditLog::open("tracing:pi-audit").await.expect_err("there is no subscriber");
    let text = format!("{error:?}");
    assert!(text.contains("no subscriber takes lines of the target pi-audit at level INFO: install one"), "{text}");
    assert!(text.contains("`pi-audit=info`"), "{text}");

    let listener = Listener::default();
    let _guard = set_default(listener.clone());
    let log = AuditLog::builder().url("tracing:pi-audit").write_timeout(Duration::from_millis(500));
    let log = log.open().await.expect("it listens");
    listener.0.is_deaf.store(true, Ordering::SeqCst);
    log.record(AuditEvent::new(EventType::AUTH)).await.expect_err("it listens no more");
    assert!(log.health().await.is_err());
    listener.0.is_deaf.store(false, Ordering::SeqCst);
    let id = log.record(AuditEvent::new(EventType::AUTH)).await.expect("it listens again");
    log.health().await.expect("it is well");
    assert_eq!(listener.ids(), [id.to_string()]);
}

#[tokio::test]
async fn a_subscriber_that_panics_fails_the_append_and_nothing_else() {
    let listener = Listener::default();
    let _guard = set_default(listener.clone());
    let store = TracingStore::open("pi-audit").expect("it opens");
    let events: Vec<AuditEvent> = (0..4).map(|_| AuditEvent::new(EventType::AUTH)).collect();
    listener.0.panics_at.store(3, Ordering::SeqCst);
    let error = store.append(&events).await.expect_err("the third line panics");
    assert!(error.is_transient() && error.to_string().contains("panicked"), "{error}");
    store.append(&events).await.expect("the next try");
    let ids: Vec<String> = events.iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(listener.ids(), ids, "each once");

    // Through the layer: the writer tries again, and goes on.
    let log = AuditLog::builder().store(store).open().await.expect("it opens");
    let stored = service_fn(|_: Request<String>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let service = AuditLayer::new(&log, presets::ivre()).layer(stored);
    for _ in 0..3 {
        listener.0.panics_at.store(1, Ordering::SeqCst);
        let upload = Request::post("/scans").body(String::new()).expect("a request");
        assert_eq!(service.clone().oneshot(upload).await.expect("infallible").status(), 200);
    }
    assert_eq!((listener.lines().len(), log.stats().written, log.stats().retries), (7, 3, 3));
}

#[tokio::test]
async fn a_subscriber_that_blocks_costs_a_request_its_deadline() {
    let listener = Listener::default();
    let _guard = set_default(listener.clone());
    let log = AuditLog::builder().url("tracing:pi-audit").write_timeout(Duration::from_millis(100));
    let log = log.open().await.expect("it opens");
    listener.0.blocks.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let error = log.record(AuditEvent::new(EventType::AUTH)).await.expect_err("the subscriber blocks");
    assert_eq!(error.kind(), RecordErrorKind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    listener.0.blocks.store(false, Ordering::SeqCst);
    let mut tries = 0;
    while let Err(error) = log.record(AuditEvent::new(EventType::AUTH)).await {
        tries += 1;
        assert!(tries < 100, "it does not go on: {error}");
    }
}

/// A store whose calls are made where a subscriber listens.
#[derive(Debug)]
struct Heard(TracingStore, Dispatch);

impl AuditStore for Heard {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(self.0.append(events).with_subscriber(self.1.clone()))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.0.health().with_subscriber(self.1.clone()))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.0.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.0.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.0.close()
    }
}

tower_audit::conformance_tests!(conformance, || async {
    let open = || async {
        let store = TracingStore::open("pi-audit").expect("it opens");
        FreshStore::new(Arc::new(Heard(store, Dispatch::new(Listener::default()))))
    };
    Harness::new(open).without(&[
        Need::Reader,
        Need::Admin,
        Need::Removal,
        Need::OrphanRecovery,
        Need::Sealing,
        Need::Erasure,
        Need::SecondHandle,
    ])
});
