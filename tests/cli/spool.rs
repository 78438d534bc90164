//! `spool`: the backlog and the dead letters of a directory.

use std::sync::Arc;

use serde_json::Value;
use tower_audit::shipping::{ShipSource, Shipper};
use tower_audit::store::spool::SpoolStore;
use tower_audit::store::{AuditStore, Capabilities, Diagnostic, StoreError, StoreErrorKind, StoreFuture};
use tower_audit::{AuditEvent, EventType, Timestamp};

use crate::support::{Run, Store, program, runtime};

/// A durable store that refuses every event with this error.
#[derive(Debug)]
struct Refusing(StoreErrorKind);

impl AuditStore for Refusing {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("refusing").with_durable(true)
    }

    fn append<'a>(&'a self, _: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        let error = StoreError::new(self.0, "refusing", "append").with_hint("too\u{1b}[8m strange");
        Box::pin(std::future::ready(Err(error)))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Two events, once.
#[derive(Debug)]
struct Two(Vec<AuditEvent>);

impl ShipSource for Two {
    fn next(&mut self, _: usize) -> StoreFuture<'_, Vec<AuditEvent>> {
        Box::pin(std::future::ready(Ok(std::mem::take(&mut self.0))))
    }

    fn acknowledge(&mut self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn acknowledged_until(&self) -> Option<Timestamp> {
        None
    }
}

fn spool(words: &[&str]) -> Run {
    Run::of(program(&[&["spool"], words].concat()))
}

fn listed(directory: &str) -> Value {
    serde_json::from_str(&spool(&["list", directory]).ok()).expect("JSON")
}

/// A folder with two dead letters in it.
fn letters(store: &Store) -> (String, Vec<String>) {
    let folder = store.folder().join("letters");
    std::fs::create_dir(&folder).expect("a folder");
    let events = vec![AuditEvent::new(EventType::UPLOAD), AuditEvent::new(EventType::AUTH)];
    runtime().block_on(async {
        let shipper = Shipper::new(Two(events), Arc::new(Refusing(StoreErrorKind::Permanent))).expect("it is durable");
        assert_eq!(shipper.dead_letters(&folder).step().await.expect("both are set aside").events, 2);
    });
    let directory = folder.to_str().expect("text").to_owned();
    let found = listed(&directory);
    let names = found["dead_letters"].as_array().expect("a list").iter().map(|it| it["dead_letter"].as_str());
    let names: Vec<String> = names.map(|name| name.expect("a name").to_owned()).collect();
    assert_eq!(names.len(), 2);
    (directory, names)
}

#[test]
fn dead_letters_are_listed_retried_and_dropped() {
    let store = Store::none();
    let (directory, names) = letters(&store);
    let table = spool(&["list", &directory, "--format", "table"]).ok();
    assert!(table.starts_with("0 events wait for the target, 2 dead letters\n"), "{table}");
    assert!(table.contains(&names[0]) && table.contains("strange") && !table.contains('\u{1b}'), "{table}");
    for format in ["jsonl", "csv"] {
        assert!(spool(&["list", &directory, "--format", format]).ok().contains(&names[1]));
    }
    assert_eq!(spool(&["retry", &directory, "--letter", &names[0]]).ok(), "1\n");
    assert!(spool(&["retry", &directory, "--letter", "none"]).failed(2).contains("no dead letter none"));
    assert!(spool(&["drop", &directory, "--letter", &names[1]]).failed(2).contains("--yes"));
    assert_eq!(spool(&["drop", &directory, "--letter", &names[1], "--yes"]).ok(), "1\n");
    let left = listed(&directory);
    assert_eq!(left["dead_letters"].as_array().map(Vec::len), Some(0));
    let waiting: u64 = left["backlogs"].as_array().expect("a list").iter().filter_map(|it| it["events"].as_u64()).sum();
    assert_eq!(waiting, 2, "the retried one, and the event that says which was dropped");
    // What waits is shipped without the service.
    let from = format!("spool:{directory}");
    assert_eq!(store.run(&["ship", "--from", &from]).ok(), "2\n");
    let events = store.query(&[]);
    assert!(events.iter().any(|event| event.event_id.to_string() == names[0]), "{events:?}");
    let dropped = events.iter().find(|event| event.event_type == EventType::AUDIT_PURGE).expect("it is recorded");
    assert_eq!(dropped.details["dead_letter"], names[1].as_str());
    assert_eq!(store.run(&["ship", "--from", &from]).ok(), "0\n");
}

#[test]
fn the_backlog_of_a_dead_process_is_listed_and_shipped() {
    let store = Store::none();
    let directory = store.folder().join("spool");
    let events: Vec<_> = (0..30).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
    runtime().block_on(async {
        let builder = SpoolStore::builder(&directory, Arc::new(Refusing(StoreErrorKind::Transient)));
        let spool = builder.open().await.expect("it opens");
        spool.append(&events).await.expect("it is kept");
    });
    let directory = directory.to_str().expect("text");
    let found = listed(directory);
    assert_eq!(
        (&found["backlogs"][0]["events"], &found["backlogs"][0]["is_alive"]),
        (&Value::from(30), &Value::from(false))
    );
    assert!(spool(&["list", directory, "--format", "table"]).ok().contains("30 events of a process that has died"));
    store.append(&[]);
    let doctor = Run::of(program(&["doctor", "--url", &format!("spool:{directory}?to={}", store.url())]));
    assert!(doctor.stdout.contains("1 processes have died"), "{}", doctor.stdout);
    assert_eq!(store.run(&["ship", "--from", &format!("spool:{directory}")]).ok(), "30\n");
    assert_eq!(store.count(), 30);
    let url = format!("spool:{directory}?to={}", store.url());
    assert_eq!(Run::of(program(&["count", "--url", &url])).ok(), "30\n", "a spool's URL reads its target");
    assert_eq!(listed(directory)["backlogs"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_mistyped_directory_is_an_error() {
    assert!(spool(&["list", "/nonexistent/spool"]).failed(3).contains("check the path"));
    assert!(spool(&["list"]).failed(2).contains("no spool is named"));
}
