//! A reader that knows the documents of such a log from elsewhere: MongoDB's driver for Python, with the searches that IVRE's
//! reader makes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tower_audit::{Actor, AuditEvent, EventType, Resource, Timestamp};

use crate::mongodb_server::{MongodbServer, programs};
use crate::postgres::support::{all, event, ok, open};

struct Reader {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    fn of(url: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/mongodb/reader.py");
        let mut child = Command::new(programs().join("python"))
            .args([script, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self { child, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").expect("the reader listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the reader answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{question}: {line:?}: {error}"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An event as IVRE's documents have it.
fn shown(event: &AuditEvent) -> Value {
    let whole = serde_json::to_value(event).expect("JSON");
    let part = |object: &str, names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), whole[object][name].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let text = event.created_at.to_string();
    json!({
        "event_id": event.event_id.to_string(),
        "event_type": event.event_type.as_str(),
        "created_at": text[..23],
        "actor": part("actor", &["user_email", "api_key_hash", "remote_addr"]),
        "resource": part("resource", &["route", "method"]),
        "outcome": whole["outcome"],
        "details": whole["details"],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymongo_reads_it() {
    let url = MongodbServer::shared().new_url();
    let store = open(&url).await;
    let mut events: Vec<AuditEvent> = (0..40).map(event).collect();
    for (n, event) in (0..).zip(&mut events) {
        event.created_at = Timestamp::from_micros(1_780_000_000_000_000 + n * 1_000_001).expect("a time");
    }
    events[1].actor = Actor::default();
    events[1].resource = Resource::default();
    events[1].outcome = None;
    events[2].actor.api_key_hash = Some("ab".repeat(32).into());
    events[2].actor.user_email = Some(format!("日本{}@example.org", "ö".repeat(100)).into());
    events[2].resource.method = Some("PROPPATCH-AND-MORE".into());
    events[3].event_type = EventType::ADMIN_ACTION;
    events[3].details.insert("source".into(), json!({"categories": ["a", ""], "of": 1.5, "big": 5_000_000_000_u64}));
    ok(store.append(&events).await);
    let mut reader = Reader::of(&url);
    let newest_first: Vec<Value> = events.iter().rev().map(shown).collect();

    assert_eq!(reader.ask(&json!({"what": "list"})), json!(newest_first));
    assert_eq!(reader.ask(&json!({"what": "list", "limit": 10, "skip": 5})), json!(newest_first[5..15]));
    assert_eq!(reader.ask(&json!({"what": "count"})), 40);
    for event in &events[..4] {
        for id in [event.event_id.to_string(), format!("{{{}}}", event.event_id)] {
            assert_eq!(reader.ask(&json!({"what": "list", "event_id": id})), json!([shown(event)]));
        }
    }
    for (filter, count) in [
        (json!({"event_type": "admin_action"}), 1),
        (json!({"event_type": "upload"}), 39),
        (json!({"event_type": "auth"}), 0),
        (json!({"user_email": "user7@example.org"}), 1),
        (json!({"user_email": "USER7@example.org"}), 0),
        (json!({"since": "2026-05-28T20:27:00+00:00"}), 20),
        (json!({"until": "2026-05-28T20:27:00+00:00"}), 20),
        (json!({"n": 7}), 1),
    ] {
        let mut question = filter.clone();
        question["what"] = json!("count");
        let counted = reader.ask(&question);
        question["what"] = json!("list");
        assert_eq!(reader.ask(&question).as_array().map(Vec::len), counted.as_u64().map(|n| n as usize), "{filter}");
        assert_eq!(counted, count, "{filter}");
    }
    // IVRE's purge.
    assert_eq!(reader.ask(&json!({"what": "purge", "until": "2026-05-28T20:27:00+00:00"})), 20);
    let mut left = events.split_off(20);
    left.reverse();
    assert_eq!(all(&*store).await, left);
}
