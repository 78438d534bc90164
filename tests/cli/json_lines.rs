//! The program on a log of JSON lines.

use std::fs;

use tower_audit::AuditEvent;

use crate::support::{Run, append, program, samples};

#[test]
fn every_command_works_on_json_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("audit.jsonl");
    let url = format!("jsonl:{}?rotate_bytes=64K&gzip=true", log.display());
    let run = |words: &[&str]| Run::of(program(&[words, &["--url", &url]].concat()));
    assert!(run(&["count"]).failed(3).contains("check the path"), "nothing is made by reading");
    assert!(!log.exists());

    let mut newest_first = samples();
    append(&url, &newest_first);
    assert_eq!(run(&["count"]).ok().trim(), "3");
    let listed: Vec<AuditEvent> = serde_json::from_str(&run(&["query", "--all"]).ok()).expect("events");
    newest_first.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    assert_eq!(listed, newest_first);
    let id = listed[0].event_id.to_string();
    assert!(run(&["get", &id]).ok().contains(&id));
    assert!(run(&["tail", "-n", "1"]).ok().contains(&id));
    assert_eq!(run(&["export"]).ok().lines().count(), 3);
    assert!(run(&["doctor"]).ok().contains("the next event would be accepted and durable"));

    for name in ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.20260525T120000Z-000001.gz"] {
        let target = folder.path().join(name);
        let refused = run(&["export", "--force", "-o", target.to_str().expect("UTF-8")]).failed(2);
        assert!(refused.contains("is a file of the log itself"), "{name}: {refused}");
    }

    let (_, said) = run(&["purge", "--before", "2026-06-01", "--yes"]).ok_saying();
    assert!(!said.is_empty(), "it says what goes");
    let left = fs::read_to_string(&log).expect("the log is there");
    assert!(!left.contains(&id), "the bytes of a purged event are gone");
}
