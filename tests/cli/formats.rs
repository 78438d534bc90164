//! Formats of events, and hostile values in them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::{Store, at, json, many, samples};
use tower_audit::{Actor, AuditEvent, EventType};

#[test]
fn json_is_what_a_pipe_gets() {
    let store = Store::of(&samples());
    let text = store.run(&["query"]).ok();
    assert_eq!(text, store.run(&["query", "--format", "json"]).ok());
    assert!(text.starts_with("[\n{") && text.ends_with("}\n]\n"), "{text}");
    assert_eq!(json(&text)[2]["actor"]["user_email"], "alice@example.org");
    assert_eq!(Store::of(&[]).run(&["query"]).ok(), "[]\n");
}

#[test]
fn jsonl_is_an_event_a_line() {
    let events = samples();
    let store = Store::of(&events);
    let text = store.run(&["query", "--format", "jsonl"]).ok();
    let read: Vec<AuditEvent> = text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(read, events.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(Store::of(&[]).run(&["query", "--format", "jsonl"]).ok(), "");
}

#[test]
fn csv_has_a_header_and_neutralises_formulas() {
    let mut event = at(EventType::UPLOAD, "2026-05-01T10:00:00Z");
    event.actor = Actor::user("=HYPERLINK(\"http://x\",\"y\")");
    let store = Store::of(&[event]);
    let text = store.run(&["query", "--format", "csv"]).ok();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with("event_id,event_type,created_at,phase,user_email,"), "{text}");
    assert!(lines[1].contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\","), "{text}");
    assert_eq!(lines[2..], [""]);
}

#[test]
fn a_table_has_a_row_per_event_and_no_colours_in_a_pipe() {
    let store = Store::of(&samples());
    let text = store.run(&["query", "--format", "table"]).ok();
    let lines: Vec<&str> = text.lines().collect();
    let words: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(words, ["time", "(UTC)", "type", "user", "address", "method", "path", "outcome", "id"]);
    assert_eq!(lines.len(), 4);
    let cells: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(cells[..8], ["2026-05-03", "10:00:00", "admin_action", "-", "-", "PUT", "-", "started"]);
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn get_prints_in_every_format() {
    let events = samples();
    let store = Store::of(&events);
    let id = events[0].event_id.to_string();
    let get = |format| store.run(&["get", &id, "--format", format]).ok();
    assert_eq!(get("json"), get("jsonl"));
    assert_eq!(get("csv").lines().count(), 2);
    assert_eq!(get("table").lines().count(), 2);
}

#[test]
fn hostile_text_reaches_no_terminal() {
    let hostile = "\u{1b}]52;c;cm0=\u{7}\u{1b}[2Jmal\rlory\u{202e}\u{200b}\u{9b}31m\n";
    let mut event = at(EventType::UPLOAD, "2026-05-01T10:00:00Z");
    event.actor = Actor::user(hostile);
    event.resource.method = Some(hostile.into());
    let store = Store::of(std::slice::from_ref(&event));

    let table = store.run(&["query", "--format", "table"]).ok();
    assert!(table.contains(r"\u{1b}]52;c;cm0=\u{7}\u{1b}[2Jmal\u{d}lory\u{202e}\u{200b}\u{9b}31m\u{a}"), "{table}");
    for format in ["table", "json", "jsonl"] {
        let text = store.run(&["query", "--format", format]).ok();
        assert!(!text.contains(|c: char| c != '\n' && (c.is_control() || "\u{202e}\u{200b}".contains(c))), "{text}");
    }
    assert_eq!(store.query(&[]), [event]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let store = Store::of(&many(5000, "2026-01-01T00:00:00Z"));
    for format in ["json", "jsonl", "csv", "table"] {
        let mut command = store.command(&["query", "--limit", "0", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        assert!(!line.is_empty());
        drop(stdout);
        let done = child.wait_with_output().expect("the program ends");
        assert_eq!(done.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{format}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let store = Store::of(&samples());
    for words in [&["query"][..], &["count"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
        let mut command = store.command(words);
        let done = command.stdout(full).output().expect("the program starts");
        assert_eq!(done.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(stderr.starts_with("tower-audit: the output cannot be written\n"), "{stderr}");
    }
}
