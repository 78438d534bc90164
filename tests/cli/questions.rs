//! `docs/questions.md`: each of its questions is answered by the program, by the API and in the viewer.

use serde_json::json;
use tower_audit::{Actor, AuditEvent, ChangeSet, ErrorCode, EventId, EventType, Phase, Target};

use crate::serve::Server;
use crate::support::{Store, at, json};

const PAGE: &str = include_str!("../../docs/questions.md");

/// A row of the table: the question, the words of the program, the path, and the words of the search box.
struct Row {
    question: &'static str,
    program: Vec<String>,
    path: &'static str,
    search: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| ") && line.contains("?"));
    let row = |line: &'static str| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
        let [question, program, path, search] = cells[..] else { panic!("four cells: {line}") };
        let program = program.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect();
        Row { question, program, path, search }
    };
    lines.filter(|line| !line.contains("question |")).map(row).collect()
}

/// The events of a shop. Each names in its details the beginnings of the questions that it answers.
fn events() -> Vec<AuditEvent> {
    let mut events = Vec::new();
    let mut add = |event_type: &str, time: &str, answers: &[&str], change: &dyn Fn(&mut AuditEvent)| {
        let mut event = at(event_type.parse::<EventType>().expect("a type"), time);
        event.outcome = Some(200);
        event.resource.method = Some("POST".into());
        change(&mut event);
        event.details.insert("answers".into(), json!(answers));
        events.push(event);
    };
    let user = |event: &mut AuditEvent, name: &str| event.actor = Actor::user(name.to_owned());
    let to = |event: &mut AuditEvent, method: &str, uri: &str, target: Target| {
        event.resource.method = Some(method.into());
        event.request.request_uri = Some(uri.into());
        event.targets.insert(target);
    };
    add("admin_action", "2026-04-02T10:00:00Z", &["Who deleted"], &|event| {
        user(event, "root@example.org");
        to(event, "DELETE", "/users/bob", Target::new("user", "bob"));
    });
    add("admin_action", "2026-04-02T09:00:00Z", &[], &|event| {
        user(event, "root@example.org");
        to(event, "PUT", "/users/bob", Target::new("user", "bob"));
    });
    add("order.changed", "2026-05-26T00:00:00Z", &["What did alice", "Who touched", "What was done to"], &|event| {
        user(event, "alice@example.org");
        to(event, "PATCH", "/orders/7", Target::new("order", 7));
    });
    add("order.changed", "2026-05-27T00:00:00Z", &["What was done to", "Which events concern"], &|event| {
        user(event, "alice@example.org");
        to(event, "PATCH", "/orders/8", Target::new("order", 8));
        event.details.insert("plan".into(), "gold".into());
    });
    add(
        "order.changed",
        "2026-05-28T00:00:00Z",
        &["Who touched", "What was the price", "What was done to", "Which requests", "What happened in"],
        &|event| {
            user(event, "bob@example.org");
            to(event, "PATCH", "/orders/7", Target::new("order", 7));
            event.request.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
            event.request.request_id = Some("r-42".into());
            event.details = ChangeSet::between_json(json!({"price": 10}), json!({"price": 12})).into_details();
        },
    );
    add(
        "auth",
        "2026-05-29T00:00:00Z",
        &["Which sign-ins", "Who tried", "What came from", "What was denied"],
        &|event| {
            user(event, "alice@example.org");
            event.actor.remote_addr = Some("192.0.2.66".into());
            event.outcome = Some(401);
            event.classification.action = Some("failure".into());
            event.classification.error = Some(ErrorCode::BAD_AUTHENTICATION);
        },
    );
    add("upload", "2026-05-29T01:00:00Z", &["What failed"], &|event| {
        user(event, "bob@example.org");
        event.outcome = Some(503);
    });
    add("admin_action", "2026-05-29T02:00:00Z", &["What was begun"], &|event| {
        user(event, "root@example.org");
        (event.phase, event.outcome) = (Phase::Started, None);
    });
    add("admin_action", "2026-05-29T03:00:00Z", &["What may have"], &|event| {
        user(event, "root@example.org");
        (event.phase, event.outcome) = (Phase::Unknown, None);
    });
    add("upload", "2026-05-29T04:00:00Z", &["What did support", "What was this API key"], &|event| {
        user(event, "support@example.org");
        event.actor.acting_for = Some("carol@example.org".into());
        event.actor.api_key_hash = Some("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".into());
    });
    add("upload", "2026-05-29T05:00:00Z", &["What did anonymous"], &|_| {});
    add("oversize_query", "2026-05-29T06:00:00Z", &["Which queries"], &|event| {
        event.resource.method = Some("GET".into());
    });
    add("audit.read", "2026-05-29T07:00:00Z", &["Who read"], &|event| user(event, "auditor@example.org"));
    events
}

#[test]
fn each_question_has_its_answer_in_three_places() {
    let events = events();
    let server = Server::start(Store::of(&events));
    let bearer = format!("authorization: Bearer {}", server.token);
    let rows = rows();
    assert_eq!(rows.len(), 20);
    for Row { question, program, path, search } in rows {
        let mut expected: Vec<EventId> = events
            .iter()
            .filter(|event| {
                let answers = event.details["answers"].as_array().expect("a list");
                answers.iter().any(|answer| question.starts_with(answer.as_str().expect("text")))
            })
            .map(|event| event.event_id)
            .collect();
        assert!(!expected.is_empty(), "nothing answers {question}");
        expected.sort();

        let words: Vec<_> = program.iter().map(String::as_str).chain(["--format", "json"]).collect();
        assert_eq!(ids(&server.store().run(&words).ok()), expected, "{question} {words:?}");

        let answer = server.ask(path, &[&bearer]);
        assert_eq!(answer.status, 200, "{question} {path}: {}", answer.body);
        assert_eq!(ids(&answer.body), expected, "{question} {path}");

        let encoded: String = search.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let moved = server.ask(&format!("/audit/ui/?q={encoded}"), &[&bearer]);
        assert_eq!(moved.status, 303, "{question} {search}: {}", moved.body);
        let place =
            moved.header("location").expect("a place").trim_start_matches('.').trim_start_matches('/').to_owned();
        let place = if place.starts_with("audit") { format!("/{place}") } else { format!("/audit/ui/{place}") };
        let page = server.ask(&place, &[&bearer]);
        assert_eq!(page.status, 200, "{question} {place}");
        let shown: Vec<_> = events
            .iter()
            .map(|event| event.event_id)
            .filter(|id| page.body.contains(&format!("events/{id}")))
            .collect();
        let mut shown = shown;
        shown.sort();
        assert_eq!(shown, expected, "{question} {place}");
    }
}

fn ids(text: &str) -> Vec<EventId> {
    let events = json(text);
    let id = |event: &serde_json::Value| event["event_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let mut ids: Vec<EventId> = events.as_array().expect("a list").iter().map(id).collect();
    ids.sort();
    ids
}
