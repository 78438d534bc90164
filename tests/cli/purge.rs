//! `purge`: exactly what is old goes, and it is recorded.

#[cfg(unix)]
use std::process::Stdio;

use crate::support::{Run, Store, at, many};
use tower_audit::{AuditEvent, EventType};

fn old_and_new() -> (Store, AuditEvent) {
    let new = AuditEvent::new(EventType::AUTH);
    let mut events = many(2500, "2020-01-01T00:00:00Z");
    events.push(new.clone());
    (Store::of(&events), new)
}

#[test]
fn a_dry_run_says_what_the_real_run_then_does() {
    let (store, new) = old_and_new();
    assert_eq!(store.run(&["purge", "--older-than", "180d", "--dry-run"]).ok(), "2500\n");
    assert_eq!(store.count(), 2501);

    assert_eq!(store.run(&["purge", "--older-than", "180d"]).ok(), "2500\n");
    let left = store.query(&[]);
    assert_eq!(left.len(), 2);
    assert_eq!(left[1], new);
    assert_eq!(store.run(&["purge", "--older-than", "180d", "--dry-run"]).ok(), "0\n");
}

#[test]
fn a_purge_is_recorded() {
    let (store, _) = old_and_new();
    let before = tower_audit::Timestamp::now();
    let mut command = store.command(&["purge", "--older-than", "15552000"]);
    command.env("USER", "operator");
    assert_eq!(Run::of(command).ok(), "2500\n");

    let records = store.query(&["--event-type", "audit.purge"]);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record.actor.user_email.as_deref(), Some("operator"));
    assert_eq!(record.details["removed"], 2500);
    assert_eq!(record.details["older_than"], "15552000");
    assert!(record.created_at >= before);
    let cutoff: tower_audit::Timestamp = record.details["cutoff"].as_str().expect("a text").parse().expect("a time");
    let age_micros = record.created_at.as_micros() - cutoff.as_micros();
    assert!((15_552_000_000_000..15_552_000_000_000 + 300_000_000).contains(&age_micros), "{age_micros}");
}

#[test]
fn who_it_was_is_unknown_without_a_user() {
    let store = Store::of(&[at(EventType::UPLOAD, "2020-01-01T00:00:00Z")]);
    assert_eq!(store.run(&["purge", "--older-than", "1d"]).ok(), "1\n");
    assert_eq!(store.query(&[])[0].actor.user_email, None);
}

#[test]
fn bad_durations_remove_nothing() {
    let store = Store::of(&[at(EventType::UPLOAD, "2020-01-01T00:00:00Z")]);
    for (duration, why) in [
        ("0", "no time at all"),
        ("0d", "no time at all"),
        ("-5", "negative"),
        ("-5d", "negative"),
        ("3000y", "beyond the year 0001"),
        ("999999999999y", "too large"),
        ("1.5d", "is no duration"),
        ("7D", "is no duration"),
        ("", "is no duration"),
        ("all", "is no duration"),
        ("2026-05-25", "is no duration"),
    ] {
        for words in [&["purge", "--older-than", duration][..], &["purge", "--dry-run", "--older-than", duration]] {
            let stderr = store.run(words).failed(2);
            assert!(stderr.contains("--older-than") && stderr.contains(why), "{duration:?}: {stderr}");
        }
    }
    assert!(store.run(&["purge"]).failed(2).contains("--older-than"));
    assert_eq!(store.query(&[]).len(), 1);
}

/// Wherever the signal comes: what is gone is recorded.
#[cfg(unix)]
#[test]
fn a_purge_that_is_told_to_end_records_what_is_gone() {
    const EVENTS: u64 = 20_000;
    let store = Store::of(&many(20_000, "2020-01-01T00:00:00Z"));
    let mut command = store.command(&["purge", "--older-than", "1d"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let has_begun = (0..10_000).any(|_| store.count() < EVENTS);
    assert!(has_begun, "nothing was removed");
    // It may have ended by now; it is not waited for yet, so that its id is still its own.
    let _ = std::process::Command::new("kill").arg(child.id().to_string()).status();
    child.wait_with_output().expect("the program ends");

    let records = store.query(&["--event-type", "audit.purge"]);
    let recorded: u64 = records.iter().filter_map(|record| record.details["removed"].as_u64()).sum();
    assert_eq!(recorded, EVENTS - (store.count() - records.len() as u64));

    store.run(&["purge", "--older-than", "1d"]).ok();
    assert_eq!(store.run(&["count", "--event-type", "upload"]).ok(), "0\n");
}
