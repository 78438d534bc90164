//! `stats`: events by field and by time.

use serde_json::json;
use tower_audit::{Actor, AuditEvent, EventType};
use unicode_width::UnicodeWidthStr as _;

use crate::hostile;
use crate::support::{Store, at, json as read, on_terminal, samples};

/// Five events: three of alice on the first of May, one of bob on the third, one anonymous.
fn store() -> Store {
    let of = |user: Option<&str>, time: &str, outcome: Option<u16>| -> AuditEvent {
        let mut event = at(EventType::AUTH, time);
        event.actor.user_email = user.map(Into::into);
        event.resource.route = Some("/login".into());
        event.outcome = outcome;
        event
    };
    Store::of(&[
        of(Some("alice"), "2026-05-01T10:00:00Z", Some(200)),
        of(Some("alice"), "2026-05-01T10:59:59.999999Z", Some(401)),
        of(Some("alice"), "2026-05-01T12:00:00Z", Some(200)),
        of(Some("bob"), "2026-05-03T00:00:00Z", Some(200)),
        of(None, "2026-05-03T00:00:00Z", None),
    ])
}

#[test]
fn json_has_every_number() {
    let found = read(&store().run(&["stats", "--interval", "day"]).ok());
    let expected = json!({
        "since": "2026-05-01T00:00:00.000000Z",
        "until": "2026-05-04T00:00:00.000000Z",
        "total": 5,
        "by": {
            "event_type": [{ "value": "auth", "count": 5 }],
            "user_email": [
                { "value": "alice", "count": 3 }, { "value": "bob", "count": 1 }, { "value": null, "count": 1 },
            ],
            "route": [{ "value": "/login", "count": 5 }],
            "outcome": [
                { "value": "200", "count": 3 }, { "value": "401", "count": 1 }, { "value": null, "count": 1 },
            ],
        },
        "histogram": {
            "interval_seconds": 86400,
            "buckets": [
                { "since": "2026-05-01T00:00:00.000000Z", "until": "2026-05-02T00:00:00.000000Z", "count": 3 },
                { "since": "2026-05-02T00:00:00.000000Z", "until": "2026-05-03T00:00:00.000000Z", "count": 0 },
                { "since": "2026-05-03T00:00:00.000000Z", "until": "2026-05-04T00:00:00.000000Z", "count": 2 },
            ],
        },
    });
    assert_eq!(found, expected);
}

#[test]
fn filters_and_options_choose() {
    let store = store();
    let found = read(&store.run(&["stats", "--user-email", "!alice", "--by", "phase", "--top", "1"]).ok());
    assert_eq!(found["by"], json!({ "phase": [{ "value": "completed", "count": 2 }] }));
    let hours =
        store.run(&["stats", "--until", "2026-05-02", "--interval", "hour", "--by", "phase", "--format", "csv"]).ok();
    let lines: Vec<&str> = hours.split("\r\n").collect();
    assert_eq!(lines[..3], ["by,value,count", "total,,3", "phase,completed,3"]);
    // From the first event to the end that was asked for.
    assert_eq!(lines[3], "time,2026-05-01T10:00:00.000000Z,2");
    assert_eq!(lines[5], "time,2026-05-01T12:00:00.000000Z,1");
    assert_eq!(lines[16..], ["time,2026-05-01T23:00:00.000000Z,0", ""]);
    let lines = store.run(&["stats", "--format", "jsonl", "--by", "user_email"]).ok();
    assert!(lines.starts_with("{\"by\":\"total\",\"count\":5,\"value\":null}\n"), "{lines}");
    let none = read(&store.run(&["stats", "--outcome", "599"]).ok());
    assert_eq!((&none["total"], &none["histogram"]), (&json!(0), &json!(null)));
}

#[test]
fn automatic_stretches_are_few() {
    for words in [&["stats"][..], &["stats", "--since", "2000-01-01"], &["stats", "--until", "2026-05-01T11:00:00Z"]] {
        let found = read(&store().run(words).ok());
        let buckets = found["histogram"]["buckets"].as_array().expect("buckets");
        assert!((1..=40).contains(&buckets.len()), "{words:?}: {buckets:?}");
        let sum: u64 = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum();
        assert_eq!(sum, found["total"], "{words:?}");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let store = store();
    for (words, right) in [
        (&["stats", "--by", "user"][..], "user_email"),
        (&["stats", "--top", "0"], "from 1 to 1000"),
        (&["stats", "--interval", "month"], "week"),
        (&["stats", "--interval", "second"], "more than 1000"),
    ] {
        let stderr = store.run(words).failed(2);
        assert!(stderr.contains(right), "{words:?}: {stderr}");
    }
}

#[test]
fn bars_are_drawn_to_scale() {
    let text = store().run(&["stats", "--format", "table", "--interval", "day", "--top", "1"]).ok();
    let bars = |label: &str| {
        text.lines().find(|line| line.trim_start().starts_with(label)).map(|line| line.matches('█').count())
    };
    assert_eq!((bars("2026-05-01"), bars("2026-05-02"), bars("2026-05-03")), (Some(60), Some(0), Some(40)), "{text}");
    assert!(text.contains("\n  (others)  2\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn it_fits_the_terminal_and_hostile_names_are_text() {
    let mut events = samples();
    for (_, value) in hostile::values() {
        events.push(hostile::event(&value));
    }
    let mut long = at(EventType::AUTH, "2026-05-04T00:00:00Z");
    long.actor = Actor::user("x".repeat(200));
    events.push(long);
    let store = Store::of(&events);
    for columns in [40, 80, 160] {
        let shown = on_terminal(store.command(&["stats", "--top", "1000"]), columns).replace("\r\n", "\n");
        let shown = shown.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        let bad = shown.chars().find(|c| *c != '\n' && tower_audit::export::is_unsafe_to_display(*c));
        assert_eq!(bad, None);
        let widest = shown.lines().map(|line| line.width()).max().expect("lines");
        assert!(widest <= columns, "{columns}: {widest}");
    }
    let lines = store.run(&["stats", "--top", "1000", "--format", "jsonl"]).ok();
    assert!(!lines.contains(|c| c != '\n' && tower_audit::export::is_unsafe_to_display(c)));
}

#[test]
fn an_event_at_the_end_of_time_is_counted_like_any_other() {
    let store = Store::of(&[
        at(EventType::UPLOAD, "0001-01-01T00:00:00Z"),
        at(EventType::UPLOAD, "2026-05-25T12:00:00Z"),
        at(EventType::AUTH, "9999-12-31T23:59:59.999999Z"),
    ]);
    for words in [&["stats"][..], &["stats", "--since", "2026-01-01"]] {
        let stats = read(&store.run(words).ok());
        let buckets = stats["histogram"]["buckets"].as_array().expect("a list");
        let events: u64 = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum();
        assert_eq!(stats["total"], events, "{stats}");
        assert!((1..=40).contains(&buckets.len()), "{stats}");
    }
}
