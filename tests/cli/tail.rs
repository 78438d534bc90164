//! `tail`: the newest events, and each new one once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tower_audit::{AuditEvent, EventType, Timestamp};

use crate::support::{Run, Store, at, many, samples};

#[test]
fn the_newest_come_oldest_first() {
    let events = many(700, "2026-01-01T00:00:00Z");
    let store = Store::of(&events);
    let tail = |words: &[&str]| -> Vec<AuditEvent> {
        let text = store.run(&[&["tail"], words].concat()).ok();
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    };
    assert_eq!(tail(&[]), events[690..]);
    assert_eq!(tail(&["-n", "3"]), events[697..]);
    assert_eq!(tail(&["--limit", "600"]), events[100..]);
    assert_eq!(tail(&["-n0"]), []);
    assert_eq!(tail(&["-n", "2", "--until", "2026-01-01T00:05:00Z"]), events[298..300]);
    assert_eq!(tail(&["--event-type", "!upload"]), []);
    assert!(store.run(&["tail", "-n", "100001"]).failed(2).contains("from 0 to 100000"));
    assert!(store.run(&["tail", "--format", "json"]).failed(2).contains("jsonl"));
}

#[test]
fn csv_and_tables_have_a_header_even_without_events() {
    let store = Store::of(&samples());
    for (format, lines) in [("csv", 4), ("table", 4)] {
        assert_eq!(store.run(&["tail", "--format", format]).ok().lines().count(), lines);
        let none = store.run(&["tail", "--format", format, "--outcome", "599"]).ok();
        assert_eq!(none.lines().count(), 1, "{none}");
    }
}

#[test]
fn what_comes_is_shown_once_whatever_its_time_and_its_id() {
    let old = many(50, "2026-01-01T00:00:00Z");
    let store = Store::of(&old);
    let tail = Following::start(store.command(&["tail", "-f", "-n", "2", "--user-email", "!nobody"]));
    assert_eq!(tail.events(2), old[48..]);
    let now = Timestamp::now().as_micros();
    let mut expected = BTreeSet::new();
    for batch in 0..30 {
        let mut events: Vec<AuditEvent> = (0..40).map(|_| AuditEvent::new(EventType::AUTH)).collect();
        for event in &mut events {
            // From a minute ago, as from a process that had to wait, to an hour ahead, as from a clock that is wrong.
            let away = if batch % 10 == 9 { 3_600_000_000 } else { -fastrand::i64(0..50_000_000) };
            event.created_at = Timestamp::from_micros(now + away).expect("in range");
            expected.insert(event.event_id);
        }
        // Of those of a batch, one is filtered out.
        let mut unwanted = AuditEvent::new(EventType::AUTH);
        unwanted.actor.user_email = Some("nobody".into());
        events.push(unwanted);
        fastrand::shuffle(&mut events);
        store.append(&events);
    }
    let mut shown: Vec<_> = tail.events(expected.len()).iter().map(|event| event.event_id).collect();
    // The next event is shown after another poll, so a duplicate would have been printed by now.
    let last = AuditEvent::new(EventType::AUTH);
    store.append(std::slice::from_ref(&last));
    assert_eq!(tail.events(1), [last]);
    shown.sort_unstable();
    assert_eq!(shown, expected.into_iter().collect::<Vec<_>>());
    let (status, rest, complaints) = tail.end("TERM");
    assert_eq!((status.code(), rest, complaints), (Some(0), Vec::new(), Vec::new()));
}

#[test]
fn more_than_fits_in_memory_at_once_comes_in_order() {
    let store = Store::of(&[]);
    let tail = Following::start(store.command(&["tail", "-f", "--event-type", "upload"]));
    store.append(&[at(EventType::UPLOAD, "2026-01-01T00:00:00Z")]);
    tail.events(1);
    let events = many(10_600, "2026-01-01T00:00:01Z");
    // It polls when all are stored.
    signal(&tail.child, "STOP");
    store.append(&events);
    signal(&tail.child, "CONT");
    assert_eq!(tail.events(events.len()), events);
    assert_eq!(tail.end("INT").0.code(), Some(0));
}

#[test]
fn a_file_that_is_replaced_is_followed() {
    let store = Store::of(&samples());
    let tail = Following::start(store.command(&["tail", "-f", "-n", "1"]));
    tail.events(1);
    // As manual rotation does: the old file is moved away, and for a while there is none.
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("audit.db{suffix}");
        let _ = fs::rename(store.folder().join(&name), store.folder().join(format!("old-{name}")));
    }
    tail.complains("does not exist");
    let event = AuditEvent::new(EventType::AUTH);
    store.append(std::slice::from_ref(&event));
    assert_eq!(tail.events(1), [event]);
    tail.complains("was replaced: following the new one");
    tail.complains("the store answers again");
    assert_eq!(tail.end("TERM").0.code(), Some(0));
}

#[test]
fn a_store_that_is_made_anew_is_followed() {
    let store = Store::of(&samples());
    let tail = Following::start(store.command(&["tail", "-f", "-n", "3"]));
    tail.events(3);
    store.run(&["destroy-and-recreate", "--yes"]).ok();
    let event = AuditEvent::new(EventType::AUTH);
    store.append(std::slice::from_ref(&event));
    let shown = tail.events(2);
    assert_eq!((shown[0].event_type.as_str(), &shown[1]), ("audit.init", &event));
    assert_eq!(tail.end("TERM").0.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_it_although_nothing_comes() {
    let store = Store::of(&samples());
    let mut command = store.command(&["tail", "-f"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("the program ends");
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_reader_that_stands_still_does_not_keep_it_from_ending() {
    let store = Store::of(&many(2000, "2026-01-01T00:00:00Z"));
    let mut command = store.command(&["tail", "-f", "-n", "2000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    // It has begun, and there is more than a pipe holds.
    child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("a byte");
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("the program ends").code(), Some(0));
}

#[test]
fn a_store_that_is_not_there_at_first_is_an_error() {
    let stderr = Store::none().run(&["tail", "-f"]).failed(3);
    assert!(stderr.contains("does not exist"), "{stderr}");
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_starts_again_is_followed() {
    use crate::support::{append, program};

    let cluster = crate::postgres::Cluster::start();
    let url = cluster.database().url();
    let event = |n: u64| {
        let mut event = AuditEvent::new(EventType::AUTH);
        event.details.insert("n".into(), n.into());
        event
    };
    let (first, second, third) = (event(1), event(2), event(3));
    append(&url, std::slice::from_ref(&first));
    let mut command = program(&["tail", "-f"]);
    command.env("AUDIT_URL", &url);
    let tail = Following::start(command);
    assert_eq!(tail.events(1), [first]);
    append(&url, std::slice::from_ref(&second));
    assert_eq!(tail.events(1), [second]);
    cluster.crash();
    let complaint = tail.complains("trying again");
    assert!(!complaint.contains("postgres://"), "{complaint}");
    cluster.resume();
    append(&url, std::slice::from_ref(&third));
    assert_eq!(tail.events(1), [third]);
    tail.complains("the store answers again, after ");
    let (status, rest, _) = tail.end("TERM");
    assert_eq!((status.code(), rest), (Some(0), Vec::new()));
}

/// A program that prints an event a line until a signal ends it.
struct Following {
    child: Child,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

impl Following {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let complaints = lines_of(child.stderr.take().expect("a pipe"));
        Self { child, lines, complaints }
    }

    /// The next events.
    fn events(&self, count: usize) -> Vec<AuditEvent> {
        (0..count)
            .map(|n| match self.lines.recv_timeout(LONG) {
                Ok(line) => serde_json::from_str(&line).expect("an event"),
                Err(error) => {
                    panic!("event {n} of {count}: {error}, {:?}", self.complaints.try_iter().collect::<Vec<_>>())
                }
            })
            .collect()
    }

    /// Waits for a line on stderr with this text.
    fn complains(&self, text: &str) -> String {
        let deadline = Instant::now() + LONG;
        let mut others = Vec::new();
        loop {
            match self.complaints.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => others.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("no {text}: {others:?}"),
            }
        }
    }

    /// Sends it a signal and returns its exit, and the remaining output and stderr.
    fn end(mut self, name: &str) -> (ExitStatus, Vec<String>, Vec<String>) {
        signal(&self.child, name);
        let status = self.child.wait().expect("the program ends");
        (status, self.lines.iter().collect(), self.complaints.iter().collect())
    }
}

fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

fn signal(child: &Child, name: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &child.id().to_string()]);
    Run::of(kill).ok();
}

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);
