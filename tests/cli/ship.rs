//! `ship`: a store moved into another.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tower_audit::{AuditEvent, EventType, Timestamp};

use crate::support::{Run, Store, append, program};

fn events(count: usize) -> Vec<AuditEvent> {
    (0..count).map(|_| AuditEvent::new(EventType::UPLOAD)).collect()
}

fn ship(from: &Store, to: &Store, words: &[&str]) -> std::process::Command {
    program(&[&["ship", "--from", &from.url(), "--to", &to.url()], words].concat())
}

fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "not within half a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_log_is_moved_once_and_only_what_is_new_afterwards() {
    let all = events(2500);
    let (from, to) = (Store::of(&all), Store::none());
    let progress = from.folder().join("progress");
    let progress = ["--progress", progress.to_str().expect("text")];
    assert_eq!(Run::of(ship(&from, &to, &progress)).ok(), "2500\n");
    assert_eq!(to.query(&["--limit", "0"]), from.query(&["--limit", "0"]));
    from.append(&events(3));
    // The last minute is read again, and the target has most of it.
    Run::of(ship(&from, &to, &progress)).ok();
    assert_eq!(to.count(), 2503);
    let other = Store::none();
    let refused = Run::of(ship(&from, &other, &progress)).failed(3);
    assert!(refused.contains("another source or target"), "{refused}");
    let mut old = events(1);
    old[0].created_at = "2020-01-01T00:00:00Z".parse().expect("a time");
    from.append(&old);
    Run::of(ship(&from, &to, &progress)).ok();
    assert_eq!(to.count(), 2503, "an event of the past is behind the progress");
    Run::of(ship(&from, &to, &[&progress[..], &["--since", "2019-12-31"]].concat())).ok();
    assert_eq!(to.count(), 2504);
    assert_eq!(Run::of(ship(&from, &other, &["--since", "2020-01-02"])).ok(), "2503\n");
}

#[test]
fn it_follows_and_the_second_instance_takes_over() {
    let (from, to) = (Store::of(&events(10)), Store::none());
    let progress = from.folder().join("progress");
    let words = ["--follow", "--progress", progress.to_str().expect("text")];
    let spawn = || ship(&from, &to, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
    let mut first = spawn();
    until("the first ships", || to.path().exists() && Run::of(to.command(&["count"])).stdout.contains("10"));
    let mut second = spawn();
    from.append(&events(5));
    until("the first follows", || to.count() == 15);
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    from.append(&events(7));
    until("the second takes over", || to.count() == 22);
    second.kill().expect("it runs");
    second.wait().expect("it ends");
}

#[test]
fn what_makes_no_sense_is_named() {
    let (from, to) = (Store::of(&events(1)), Store::none());
    assert!(Run::of(ship(&from, &from, &[])).failed(2).contains("the same store"));
    assert!(Run::of(ship(&from, &to, &["--since", "yesterday"])).failed(2).contains("--since"));
    let missing = Store::none();
    Run::of(ship(&missing, &to, &[])).failed(3);
    assert!(!missing.path().exists(), "a mistyped source is not made");
    let sink = program(&["ship", "--from", &from.url(), "--to", "tracing:x"]);
    Run::of(sink).failed(3);
    let late = Timestamp::now().to_string();
    append(&from.url(), &events(1));
    assert_eq!(Run::of(ship(&from, &to, &["--since", &late])).ok(), "1\n");
}
