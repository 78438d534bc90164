//! `query`, `count` and `get`: filters, limits and sources.

use crate::support::{Run, Store, at, json, many, program, samples};
use tower_audit::{AuditEvent, EventType, Timestamp};

#[test]
fn the_newest_event_comes_first() {
    let events = samples();
    let store = Store::of(&events);
    let newest_first: Vec<_> = events.iter().rev().cloned().collect();
    assert_eq!(store.query(&[]), newest_first);
    assert_eq!(store.count(), 3);
}

#[test]
fn every_filter_chooses_in_query_and_in_count() {
    let events = samples();
    let store = Store::of(&events);
    let [alice, bob, started] = [&events[0], &events[1], &events[2]];
    let cases: &[(&[&str], &[&AuditEvent])] = &[
        (&["--event-type", "upload"], &[alice]),
        (&["--event-type", "admin_action"], &[started, bob]),
        (&["--event-type", "user.created"], &[]),
        (&["--user-email", "bob@example.org"], &[bob]),
        (&["--user-email", "BOB@example.org"], &[]),
        (&["--since", "2026-05-02T10:00:00Z"], &[started, bob]),
        (&["--until", "2026-05-02T10:00:00Z"], &[alice]),
        (&["--since", "2026-05-02", "--until", "2026-05-03"], &[bob]),
        (&["--since", "1777629600", "--until", "1777629600.000001"], &[alice]),
        (&["--since", "2026-05-02 12:00:00+02:00"], &[started, bob]),
        (&["--until", "2999-01-01"], &[started, bob, alice]),
        (&["--outcome", "403"], &[bob]),
        (&["--route", "/scans"], &[alice]),
        (&["--remote-addr", "2001:db8::7"], &[bob]),
        (&["--phase", "started"], &[started]),
        (&["--phase", "completed", "--event-type", "admin_action"], &[bob]),
        (&["--outcome", "200", "--user-email", "bob@example.org"], &[]),
    ];
    for (words, expected) in cases {
        let expected: Vec<AuditEvent> = expected.iter().map(|event| (*event).clone()).collect();
        assert_eq!(store.query(words), expected, "{words:?}");
        assert_eq!(store.run(&[&["count"], *words].concat()).ok(), format!("{}\n", expected.len()), "{words:?}");
    }
}

#[test]
fn relative_times_count_back_from_now() {
    let mut fresh = AuditEvent::new(EventType::AUTH);
    fresh.created_at = Timestamp::now();
    let store = Store::of(&[at(EventType::UPLOAD, "2020-01-01T00:00:00Z"), fresh.clone()]);
    for when in ["1h", "90m", "3600s", "1d", "1w"] {
        assert_eq!(store.query(&["--since", when]), [fresh.clone()], "{when}");
    }
    assert_eq!(store.query(&["--since", "100y"]).len(), 2);
    assert_eq!(store.query(&["--since", "0s"]), []);
}

#[test]
fn limit_is_100_unless_given_and_0_is_all() {
    let events = many(700, "2026-01-01T00:00:00Z");
    let store = Store::of(&events);
    let newest_first: Vec<_> = events.into_iter().rev().collect();
    assert_eq!(store.query(&[]), newest_first[..100]);
    assert_eq!(store.query(&["--limit", "3"]), newest_first[..3]);
    assert_eq!(store.query(&["--limit", "300"]), newest_first[..300]);
    assert_eq!(store.query(&["--limit", "0"]), newest_first);
    assert_eq!(store.query(&["--limit", "5", "--skip", "10"]), newest_first[10..15]);
    assert_eq!(store.query(&["--limit", "0", "--skip", "300"]), newest_first[300..]);
    assert_eq!(store.query(&["--skip", "700"]), []);
    assert_eq!(store.query(&["--limit", "0", "--until", "2026-01-01T00:05:00Z"]), newest_first[400..]);
}

#[test]
fn events_of_one_moment_are_neither_lost_nor_repeated_between_pages() {
    let events: Vec<_> = (0..600).map(|_| at(EventType::UPLOAD, "2026-01-01T00:00:00Z")).collect();
    let store = Store::of(&events);
    let mut expected = events;
    expected.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    assert_eq!(store.query(&["--limit", "0"]), expected);
}

#[test]
fn get_takes_every_form_of_an_id() {
    let events = samples();
    let store = Store::of(&events);
    let hex = events[1].event_id.to_string();
    let hyphens = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    for id in [
        hex.clone(),
        hex.to_uppercase(),
        hyphens.clone(),
        hyphens.to_uppercase(),
        format!("{{{hyphens}}}"),
        format!("urn:uuid:{hyphens}"),
        format!("URN:UUID:{}", hyphens.to_uppercase()),
    ] {
        let text = store.run(&["get", &id]).ok();
        assert_eq!(serde_json::from_str::<AuditEvent>(&text).expect("an event"), events[1], "{id}");
        assert!(text.starts_with('{') && text.ends_with("}\n"));
    }
}

#[test]
fn get_of_a_missing_event_is_null_and_exits_with_4() {
    let store = Store::of(&samples());
    let id = "0199a700000070008000000000000001";
    let run = store.run(&["get", id]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(4), "null\n"));
    assert!(run.stderr.starts_with(&format!("tower-audit: there is no event {id}\n")), "{}", run.stderr);
    assert!(store.run(&["get", id, "--format", "jsonl"]).failed(4).contains(id));
}

#[test]
fn the_url_may_be_given_anywhere_and_beats_the_environment() {
    let store = Store::of(&samples());
    let other = Store::of(&[]);
    let url = store.url();
    for words in [["--url", &url, "count"], ["count", "--url", &url]] {
        let mut command = program(&words);
        command.env("AUDIT_URL", other.url()).env("DATABASE_URL", other.url());
        assert_eq!(Run::of(command).ok(), "3\n", "{words:?}");
    }
    let mut command = program(&["count"]);
    command.env("AUDIT_URL", &url).env("DATABASE_URL", other.url());
    assert_eq!(Run::of(command).ok(), "3\n");
    let mut command = program(&["count"]);
    command.env("AUDIT_URL", "").env("DATABASE_URL", &url);
    assert_eq!(Run::of(command).ok(), "3\n");
}

#[test]
fn reading_changes_nothing() {
    let store = Store::of(&samples());
    let id = samples()[0].event_id.to_string();
    for words in [&["query"][..], &["count"], &["get", &id], &["purge", "--older-than", "1s", "--dry-run"]] {
        let _ = store.run(words);
    }
    assert_eq!(json(&store.run(&["query"]).ok()).as_array().map(Vec::len), Some(3));
}

#[test]
fn nothing_is_between_times_that_cross() {
    let store = Store::of(&samples());
    for (since, until) in [("2026-01-02", "2026-01-01"), ("2026-01-01", "2026-01-01"), ("1h", "2h")] {
        for command in ["query", "count", "tail", "stats", "export"] {
            let stderr = store.run(&[command, "--since", since, "--until", until]).failed(2);
            assert!(stderr.contains("--until: ") && stderr.contains("is not after since"), "{stderr}");
        }
    }
}

#[test]
fn statuses_may_stand_in_one_value() {
    let store = Store::of(&samples());
    for (value, count) in [("200,403", "2"), ("200, 4xx", "2"), ("!200,none", "1"), ("4xx", "1")] {
        assert_eq!(store.run(&["count", "--outcome", value]).ok(), format!("{count}\n"), "{value}");
    }
}

#[test]
fn json_is_indented_as_far_as_was_asked() {
    let store = Store::of(&samples());
    let id = store.query(&["-n", "1"])[0].event_id.to_string();
    let event = store.run(&["get", &id, "--indent", "4"]).ok();
    assert!(event.starts_with("{\n    \"event_id\": ") && event.contains("\n        \"method\": \"PUT\""), "{event}");
    assert_eq!(json(&event), json(&store.run(&["get", &id]).ok()));
    let events = store.run(&["query", "--indent", "1", "-u", "alice*", "-t", "upload", "-s", "2026-01-01"]).ok();
    assert!(events.starts_with("[\n {\n  \"event_id\": "), "{events}");
    assert_eq!(json(&events).as_array().map(Vec::len), Some(1));
    assert!(store.run(&["query", "--indent", "2", "--format", "csv"]).failed(2).contains("--indent"));
    assert!(store.run(&["get", &id, "--indent", "9"]).failed(2).contains("--indent"));
}
