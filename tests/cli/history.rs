//! `history`: one object, who did what to it, and what changed; and one line an action.

use serde_json::json;
use tower_audit::{AuditEvent, ChangeSet, EventType, Phase, Target};

use crate::support::{Store, at, many, on_terminal};

/// Order 7 is made by alice, changed by bob for carol with a `started` event before, and read in part; order 8 is another.
fn orders() -> Vec<AuditEvent> {
    let of = |id: u64, user: &str, time: &str| {
        let mut event = at(EventType::ADMIN_ACTION, time);
        event.actor = tower_audit::Actor::user(user);
        event.targets.insert(Target::new("order", id));
        event.resource.method = Some("PATCH".into());
        event.request.request_uri = Some(format!("/orders/{id}").into());
        event.outcome = Some(200);
        event
    };
    let mut made = of(7, "alice", "2026-05-01T10:00:00Z");
    made.details = ChangeSet::between_json(json!(null), json!({"status": "open", "password": "S3cr3t"})).into_details();
    let mut started = of(7, "bob", "2026-05-02T10:00:00Z");
    (started.phase, started.outcome) = (Phase::Started, None);
    let mut shipped = of(7, "bob", "2026-05-02T10:00:01Z");
    shipped.actor.acting_for = Some("carol".into());
    shipped.request.started_event_id = Some(started.event_id);
    let (before, after) =
        (json!({"status": "open", "note": "call"}), json!({"status": "\u{1b}[2Jshipped", "by": "post"}));
    shipped.details = ChangeSet::between_json(before, after).into_details();
    let other = of(8, "bob", "2026-05-03T10:00:00Z");
    let mut open = of(7, "dave", "2026-05-04T10:00:00Z");
    (open.phase, open.outcome) = (Phase::Started, None);
    vec![made, started, shipped, other, open]
}

#[test]
fn an_object_has_its_events_with_what_each_changed() {
    let events = orders();
    let store = Store::of(&events);
    let text = store.run(&["history", "order/7", "--format", "table"]).ok();
    let id = |n: usize| format!("    {}", events[n].event_id);
    let expected = [
        "2026-05-04 10:00:00  dave  admin_action  PATCH  /orders/7  started",
        &id(4),
        "",
        "2026-05-02 10:00:01  bob for carol  admin_action  PATCH  /orders/7  200",
        r#"    + /by: "post""#,
        r#"    - /note: "call""#,
        r#"    ~ /status: "open" → "\u001b[2Jshipped""#,
        &id(2),
        "",
        "2026-05-01 10:00:00  alice  admin_action  PATCH  /orders/7  200",
        r#"    + /password: "***""#,
        r#"    + /status: "open""#,
        &id(0),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);

    // As data it is the events, with the filters of `query`.
    let read = |words: &[&str]| -> Vec<AuditEvent> {
        serde_json::from_str(&store.run(&[&["history", "order/7"], words].concat()).ok()).expect("an array")
    };
    let chosen = |numbers: &[usize]| numbers.iter().map(|n| events[*n].clone()).collect::<Vec<_>>();
    assert_eq!(read(&[]), chosen(&[4, 2, 0]), "what has ended is told once");
    assert_eq!(read(&["--all"]), chosen(&[4, 2, 1, 0]));
    assert_eq!(read(&["-u", "bob", "--format", "json"]), chosen(&[2]));
    assert_eq!(read(&["--until", "2026-05-02"]), chosen(&[0]));
    assert_eq!(read(&["-n", "1"]), chosen(&[4]));
    assert_eq!(store.run(&["history", "order/9"]).ok(), "[]\n");
    assert_eq!(store.run(&["history", "order/9", "--format", "table"]).ok(), "");
    assert!(store.run(&["history", "order"]).failed(2).contains("TYPE/ID"));
}

#[test]
fn a_terminal_gets_the_changes_drawn() {
    let store = Store::of(&orders());
    let text = on_terminal(store.command(&["history", "order/7"]), 80);
    assert!(text.contains("\u{1b}[33m    ~ /status") && text.contains("\u{1b}[32m    + /by"), "{text}");
    assert!(!text.contains("\u{1b}[2J"), "{text}");
}

#[test]
fn a_query_shows_an_action_once_unless_it_is_told_otherwise() {
    let store = Store::of(&orders());
    let lines = |words: &[&str]| store.run(words).ok().lines().count();
    assert_eq!((lines(&["query", "--format", "jsonl"]), lines(&["query", "--all", "--format", "jsonl"])), (4, 5));
    assert_eq!(lines(&["query", "--format", "table"]), 1 + 4);
    assert_eq!(lines(&["tail", "--format", "table"]), 1 + 4);
    assert_eq!(lines(&["tail", "--format", "table", "--all"]), 1 + 5);
    // Output for programs, and counts, include every event.
    assert_eq!(lines(&["tail"]), 5);
    assert_eq!(lines(&["tail", "--folded"]), 4);
    assert_eq!((lines(&["export"]), lines(&["export", "--folded"])), (5, 4));
    assert_eq!(store.run(&["count"]).ok(), "5\n");
    assert_eq!(store.run(&["count", "--folded"]).ok(), "4\n");
    assert_eq!(store.run(&["count", "--target", "order/7", "--folded"]).ok(), "3\n");
}

#[test]
fn a_folded_listing_of_many_pages_is_whole() {
    let store = Store::of(&many(5_000, "2026-01-01T00:00:00Z"));
    let lines = |words: &[&str]| store.run(words).ok().lines().count();
    assert_eq!(lines(&["query", "--limit", "0", "--format", "jsonl"]), 5_000);
    for skip in ["300", "511", "999", "4999"] {
        assert_eq!(lines(&["query", "--skip", skip, "-n", "1", "--format", "jsonl"]), 1, "{skip}");
    }
}
