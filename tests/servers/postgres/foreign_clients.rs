//! A reader that knows the columns of such a log from elsewhere: plain columns, a UUID, a JSON column, newest first.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tower_audit::{Actor, AuditEvent, EventType, Resource, Timestamp};

use crate::cluster::Cluster;
use crate::postgres::support::{at, event, ok, open};

#[tokio::test]
async fn a_reader_of_the_older_columns_reads_it() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let mut first = event(1);
    first.created_at = at("2026-05-25T12:00:00.123456Z");
    first.actor.api_key_hash = Some("ab".repeat(32).into());
    first.resource.method = Some("PROPPATCH-AND-MORE".into());
    first.details.insert("source".into(), serde_json::json!({"categories": ["a", ""], "of": 1.5}));
    let mut second = event(2);
    second.created_at = at("2026-05-25T12:00:01Z");
    second.outcome = None;
    second.actor.user_email = None;
    ok(store.append(&[first.clone(), second]).await);

    let columns = "id, event_id, event_type, created_at, actor_user_email, actor_api_key_hash, actor_remote_addr, \
        resource_route, resource_method, details, outcome";
    let types = columns.replace(", ", "), pg_typeof(");
    assert_eq!(
        database.sql(&format!("SELECT pg_typeof({types}) FROM audit_events LIMIT 1")),
        "bigint|uuid|text|timestamp with time zone|text|text|text|text|text|jsonb|integer"
    );
    let listed = database.sql(
        "SET TimeZone = 'UTC'; SELECT a.event_type, a.created_at, a.actor_user_email, a.outcome, a.details #>> '{n}' \
         FROM audit_events a ORDER BY a.created_at DESC LIMIT 10 OFFSET 0",
    );
    assert_eq!(
        listed,
        "upload|2026-05-25 12:00:01+00|||2\nupload|2026-05-25 12:00:00.123456+00|user1@example.org|200|1"
    );
    for (filter, count) in [
        ("event_type = 'upload'::varchar", "2"),
        ("actor_user_email = 'user1@example.org'::varchar", "1"),
        ("created_at >= '2026-05-25T12:00:01+00:00'::timestamptz", "1"),
        ("created_at < '2026-05-25T14:00:01+02:00'::timestamptz", "1"),
        ("outcome = 200 AND details @> '{\"source\": {\"of\": 1.5}}'::jsonb", "1"),
    ] {
        assert_eq!(
            database.sql(&format!("SELECT count(*) AS count_1 FROM audit_events WHERE {filter}")),
            count,
            "{filter}"
        );
    }
    let id = first.event_id;
    let got =
        database.sql(&format!("SELECT event_id, resource_method FROM audit_events WHERE event_id = '{id}'::uuid"));
    assert_eq!(got.replace('-', ""), format!("{id}|PROPPATCHANDMORE"));
    let whole: tower_audit::AuditEvent =
        serde_json::from_str(&database.sql(&format!("SELECT event FROM audit_events WHERE event_id = '{id}'")))
            .unwrap();
    assert_eq!(whole, first);
}

/// SQLAlchemy itself, with a model of the older columns, which knows nothing of this crate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlalchemy_reads_it() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let mut events: Vec<AuditEvent> = (0..40).map(event).collect();
    for (n, event) in (0..).zip(&mut events) {
        event.created_at = Timestamp::from_micros(1_780_000_000_000_000 + n * 1_000_001).expect("a time");
    }
    events[1].actor = Actor::default();
    events[1].resource = Resource::default();
    events[1].outcome = None;
    events[2].actor.api_key_hash = Some("ab".repeat(32).into());
    events[2].actor.user_email = Some(format!("日本{}@example.org", "ö".repeat(300)).into());
    events[2].resource.method = Some("PROPPATCH-AND-MORE".into());
    events[3].event_type = EventType::ADMIN_ACTION;
    events[3].details.insert("nul\0".into(), serde_json::json!({"a": ["x\0y", 1.5, null], "big": u64::MAX}));
    events[4].details.clear();
    events.iter_mut().for_each(AuditEvent::truncate_to_limits);
    ok(store.append(&events).await);
    let role = crate::cluster::unique("older_reader");
    ok(tower_audit::store::postgres::create_roles(&database.url()).await);
    database.sql(&format!("CREATE ROLE {role} LOGIN IN ROLE {}", database.role("reader")));
    database.sql(&format!("ALTER ROLE {role} SET TimeZone = 'Pacific/Apia'"));

    for driver in ["postgresql+psycopg2:", "postgresql+psycopg:"] {
        assert_reads(&mut Reader::start(&database.url_as(&role).replacen("postgres:", driver, 1)), &events);
    }
}

fn assert_reads(reader: &mut Reader, events: &[AuditEvent]) {
    let newest_first: Vec<&AuditEvent> = events.iter().rev().collect();
    assert_eq!(reader.list(r#"{"what": "list"}"#), shown(&newest_first));
    assert_eq!(reader.list(r#"{"what": "list", "limit": 10, "skip": 5}"#), shown(&newest_first[5..15]));
    assert_eq!(reader.count(r#"{"what": "count"}"#), 40);
    assert_eq!(reader.count(r#"{"what": "count", "event_type": "admin_action"}"#), 1);
    assert_eq!(reader.list(r#"{"what": "list", "event_type": "admin_action"}"#), shown(&[&events[3]]));
    assert_eq!(reader.list(r#"{"what": "list", "user_email": "user7@example.org"}"#), shown(&[&events[7]]));
    assert_eq!(reader.list(r#"{"what": "list", "n": 9}"#), shown(&[&events[9]]));
    let span = format!(
        r#""since": "{}", "until": "{}""#,
        events[10].created_at.to_string().replace('Z', "+00:00"),
        events[20].created_at.to_string().replace('Z', "+00:00")
    );
    assert_eq!(reader.count(&format!(r#"{{"what": "count", {span}}}"#)), 10);
    assert_eq!(reader.list(&format!(r#"{{"what": "list", {span}}}"#)), shown(&newest_first[20..30]));
    for event in &events[..5] {
        let ask = format!(r#"{{"what": "get", "event_id": "{}"}}"#, event.event_id);
        assert_eq!(reader.list(&ask), shown(&[event]));
    }
}

/// The events as that reader should show them.
fn shown(events: &[&AuditEvent]) -> Vec<serde_json::Value> {
    let shown = |event: &&AuditEvent| {
        serde_json::json!({
            "event_id": event.event_id,
            "event_type": event.event_type,
            "created_at_micros": event.created_at.as_micros(),
            "actor": event.actor,
            "resource": event.resource,
            "outcome": event.outcome,
            "details": event.details,
        })
    };
    events.iter().map(shown).collect()
}

/// The program in Python, which answers questions.
struct Reader {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    fn start(url: &str) -> Self {
        let mut child = Command::new(python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/postgres/sqlalchemy_reader.py"))
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let (ask, answers) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { child, ask, answers: BufReader::new(answers) }
    }

    fn answer(&mut self, question: &str) -> serde_json::Value {
        writeln!(self.ask, "{question}").expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers in UTF-8");
        assert!(!line.is_empty(), "it failed, see above: {question}");
        serde_json::from_str(&line).expect("it answers in JSON")
    }

    fn list(&mut self, question: &str) -> Vec<serde_json::Value> {
        self.answer(question).as_array().expect("a list").clone()
    }

    fn count(&mut self, question: &str) -> u64 {
        self.answer(question).as_u64().expect("a number")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that has SQLAlchemy, made once for each target folder.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sqlalchemy");
    let python = folder.join("bin/python");
    let has_it = |python: &Path| {
        let asked =
            Command::new(python).args(["-c", "import sqlalchemy, psycopg, psycopg2"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if has_it(&python) {
        return python;
    }
    let run = |program: &Path, words: &[&str]| {
        let done = Command::new(program).args(words).output();
        let done = done.unwrap_or_else(|error| panic!("SQLAlchemy cannot be tried: {}: {error}", program.display()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "SQLAlchemy cannot be tried: {} {words:?}: {said}", program.display());
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", folder.to_str().expect("a path in UTF-8")]);
    run(
        &python,
        &[
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "sqlalchemy>=2,<3",
            "psycopg[binary]",
            "psycopg2-binary",
        ],
    );
    assert!(has_it(&python), "SQLAlchemy was installed and is not there");
    python
}
