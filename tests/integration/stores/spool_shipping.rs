//! The shipping of a spool: outages, bounds, dead letters, adoption, damaged files.

use std::collections::BTreeSet;
use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;
use tower_audit::query::Filter;
use tower_audit::store::spool::{SpoolDirectory, SpoolStore};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, MemoryStore, OpenOptions, Parts, Severity, StoreError, StoreErrorKind,
    StoreFuture, open,
};
use tower_audit::{AuditEvent, AuditLog, EventId, EventType, Phase};

/// A target that says it is durable, keeps the order of its appends, and fails as it is told.
#[derive(Debug, Clone, Default)]
struct Target(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: MemoryStore,
    appended: Mutex<Vec<EventId>>,
    /// The kind of error of every append.
    fails: Mutex<Option<StoreErrorKind>>,
    refused: Mutex<BTreeSet<EventId>>,
    is_ill: Mutex<bool>,
    closed: Mutex<usize>,
}

impl Target {
    fn fail(&self, kind: Option<StoreErrorKind>) {
        *self.0.fails.lock().expect("no panic under the lock") = kind;
    }

    fn refuse(&self, id: EventId) {
        self.0.refused.lock().expect("no panic under the lock").insert(id);
    }

    /// The ids in the order of their first append.
    fn order(&self) -> Vec<EventId> {
        let mut seen = BTreeSet::new();
        self.0.appended.lock().expect("no panic under the lock").iter().copied().filter(|id| seen.insert(*id)).collect()
    }
}

impl AuditStore for Target {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("target").with_durable(true)
    }

    fn parts(&self) -> Parts<'_> {
        self.0.events.parts()
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if let Some(kind) = *self.0.fails.lock().expect("no panic under the lock") {
                return Err(StoreError::new(kind, "target", "append").with_hint("told to fail"));
            }
            if events
                .iter()
                .any(|event| self.0.refused.lock().expect("no panic under the lock").contains(&event.event_id))
            {
                return Err(
                    StoreError::new(StoreErrorKind::Permanent, "target", "append").with_hint("value too strange")
                );
            }
            self.0.appended.lock().expect("no panic under the lock").extend(events.iter().map(|event| event.event_id));
            self.0.events.append(events).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match *self.0.is_ill.lock().expect("no panic under the lock") {
                true => Err(StoreError::new(StoreErrorKind::Permanent, "target", "health")),
                false => Ok(()),
            }
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        *self.0.closed.lock().expect("no panic under the lock") += 1;
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Place {
    folder: TempDir,
    target: Target,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("the test's folder"), target: Target::default() }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    async fn spool(&self) -> SpoolStore {
        let builder = SpoolStore::builder(self.directory(), Arc::new(self.target.clone()));
        builder.timeout(Duration::from_secs(1)).open().await.expect("the test's folder")
    }

    /// The segments of every process, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in
            fs::read_dir(self.directory()).expect("the test's folder").flatten().filter(|entry| entry.path().is_dir())
        {
            found.extend(fs::read_dir(folder.path()).expect("the test's folder").flatten().map(|entry| entry.path()));
        }
        found.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
        found.sort();
        found
    }
}

fn event() -> AuditEvent {
    AuditEvent::new(EventType::UPLOAD)
}

fn large(text: char) -> AuditEvent {
    let mut event = event();
    event.details.insert("text".into(), text.to_string().repeat(15_000).into());
    event
}

/// The event with which a log closes an open one of a dead process.
fn unknown_end(started: &AuditEvent) -> AuditEvent {
    let mut end = event();
    end.phase = Phase::Unknown;
    end.request.started_event_id = Some(started.event_id);
    end
}

fn batches(count: usize, size: usize) -> Vec<Vec<AuditEvent>> {
    (0..count).map(|_| (0..size).map(|_| event()).collect()).collect()
}

fn ids(batches: &[Vec<AuditEvent>]) -> Vec<EventId> {
    batches.iter().flatten().map(|event| event.event_id).collect()
}

/// Waits for a condition, and fails after half a minute.
async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true().await {
        assert!(Instant::now() < deadline, "not within half a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_delays_no_append_and_everything_arrives_once_in_order() {
    let place = Place::new();
    let spool = place.spool().await;
    let all = batches(60, 7);
    for (number, batch) in all.iter().enumerate() {
        match number {
            10 => place.target.fail(Some(StoreErrorKind::Transient)),
            // Neither a lost right nor damage of the target is a reason to give an event up.
            25 => place.target.fail(Some(StoreErrorKind::Denied)),
            40 => place.target.fail(Some(StoreErrorKind::Corrupt)),
            _ => {}
        }
        spool.append(batch).await.unwrap();
        spool.health().await.unwrap();
    }
    until("the error is told", async || spool.status().target_error.is_some()).await;
    assert!(spool.status().events > 0 && spool.status().oldest.is_some());
    let error = spool.parts().reader.unwrap().count(&Filter::default()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("still in the spool"), "{error}");
    let warnings = spool.diagnose().await.unwrap();
    assert!(warnings.iter().any(|it| it.subject == "target" && it.severity == Severity::Warning), "{warnings:?}");
    place.target.fail(None);
    until("the backlog is empty", async || spool.status().events == 0).await;
    assert_eq!(place.target.order(), ids(&all));
    assert_eq!(spool.parts().reader.unwrap().count(&Filter::default()).await.unwrap(), 420);
    assert_eq!(spool.status().target_error, None);
    until("an idle spool has no segment", async || place.segments().is_empty()).await;
    spool.close().await.unwrap();
    assert_eq!(*place.target.0.closed.lock().unwrap(), 1);
    assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 0, "an empty spool leaves no folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_beyond_a_bound_is_refused_and_loses_nothing() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let builder = SpoolStore::builder(place.directory(), Arc::new(place.target.clone()));
    let spool = builder.max_events(10).timeout(Duration::from_secs(1)).open().await.unwrap();
    let all = batches(3, 5);
    spool.append(&all[0]).await.unwrap();
    spool.append(&all[1]).await.unwrap();
    for _ in 0..2 {
        let error = spool.append(&all[2]).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("full: 10 events"), "{error}");
    }
    assert!(spool.health().await.unwrap_err().is_transient(), "the next event would be refused");
    place.target.fail(None);
    until("there is room", async || spool.health().await.is_ok()).await;
    spool.append(&all[2]).await.unwrap();
    spool.wait_shipped().await.unwrap();
    assert_eq!(place.target.order(), ids(&all));
    // The other bound, with the backlog of a process that has died.
    place.target.fail(Some(StoreErrorKind::Transient));
    for _ in 0..60 {
        spool.append(&[large('a')]).await.unwrap_or_else(|error| assert!(error.is_transient()));
    }
    drop(spool);
    let builder = SpoolStore::builder(place.directory(), Arc::new(place.target.clone()));
    let spool = builder.max_bytes(1 << 20).open().await.unwrap();
    let mut accepted = 0;
    while spool.append(&[large('b')]).await.is_ok() {
        accepted += 1;
        assert!(accepted < 100, "the bound of bytes holds");
    }
    assert!(spool.status().bytes <= 1 << 20);
    drop(spool);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_target_refuses_becomes_a_dead_letter_and_can_be_retried() {
    let place = Place::new();
    let spool = place.spool().await;
    let all = batches(5, 20);
    let refused = [all[1][3].event_id, all[1][4].event_id, all[4][19].event_id];
    refused.iter().for_each(|id| place.target.refuse(*id));
    for batch in &all {
        spool.append(batch).await.unwrap();
    }
    until("the others are shipped", async || spool.status().events == 0).await;
    assert_eq!(spool.status().dead_letters, 3);
    let taken: Vec<EventId> = ids(&all).into_iter().filter(|id| !refused.contains(id)).collect();
    assert_eq!(place.target.order(), taken);
    let directory = SpoolDirectory::open(place.directory()).await.unwrap();
    let letters = directory.dead_letters().await.unwrap();
    assert_eq!(letters.iter().map(|it| it.event.as_ref().unwrap().event_id).collect::<Vec<_>>(), refused);
    assert!(letters.iter().all(|it| it.reason.contains("value too strange")), "{letters:?}");
    assert_eq!(letters[0].event.as_ref(), Some(&all[1][3]));
    // The reason is mended: two are tried again, one is dropped.
    place.target.0.refused.lock().unwrap().clear();
    let names: Vec<String> = letters.iter().map(|it| it.name.clone()).collect();
    assert_eq!(directory.retry(&names[..2]).await.unwrap(), 2);
    let record = AuditEvent::new(EventType::new("audit.purge").unwrap());
    assert!(directory.drop_letter(&names[2], record.clone()).await.unwrap());
    assert!(!directory.drop_letter(&names[2], record.clone()).await.unwrap());
    assert!(directory.dead_letters().await.unwrap().is_empty());
    until("the running spool ships them", async || place.target.order().len() == taken.len() + 3).await;
    assert_eq!(place.target.order()[taken.len()..], [refused[0], refused[1], record.event_id]);
    spool.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_takes_nothing_makes_few_dead_letters_and_an_ill_one_none() {
    let place = Place::new();
    *place.target.0.is_ill.lock().unwrap() = true;
    place.target.fail(Some(StoreErrorKind::Permanent));
    let spool = place.spool().await;
    let all = batches(4, 10);
    for batch in &all {
        spool.append(batch).await.unwrap();
    }
    until("the error is told", async || spool.status().target_error.is_some()).await;
    assert_eq!(spool.status().dead_letters, 0, "an ill target refuses no event for good");
    *place.target.0.is_ill.lock().unwrap() = false;
    until("the first ones are given up", async || spool.status().dead_letters == 16).await;
    place.target.fail(None);
    until("the others are shipped", async || spool.status().events == 0).await;
    assert_eq!(place.target.order(), ids(&all)[16..]);
    assert_eq!(SpoolDirectory::open(place.directory()).await.unwrap().dead_letters().await.unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_dead_process_is_adopted_and_that_of_a_living_one_is_not() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let all = batches(6, 3);
    let (first, living) = (place.spool().await, place.spool().await);
    let mut started = event();
    started.phase = Phase::Started;
    first.append(&all[0]).await.unwrap();
    first.append(std::slice::from_ref(&started)).await.unwrap();
    living.append(&all[1]).await.unwrap();
    let directory = SpoolDirectory::open(place.directory()).await.unwrap();
    assert!(directory.backlogs().await.unwrap().iter().all(|it| it.is_alive));
    drop(first);
    let dead = directory.backlogs().await.unwrap();
    assert_eq!(dead.iter().map(|it| (it.is_alive, it.events)).collect::<Vec<_>>(), [(false, 4), (true, 3)]);
    let second = place.spool().await;
    assert_eq!(second.parts().recovery.unwrap().recover(&unknown_end).await.unwrap(), 1, "without the target");
    assert_eq!(second.parts().recovery.unwrap().recover(&unknown_end).await.unwrap(), 0);
    second.append(&all[2]).await.unwrap();
    assert_eq!(second.status().adopted, 1);
    place.target.fail(None);
    second.wait_shipped().await.unwrap();
    let order = place.target.order();
    let at = |id: EventId| order.iter().position(|other| *other == id).unwrap();
    assert!(at(all[0][2].event_id) < at(all[2][0].event_id), "what the dead had comes first");
    assert_eq!(place.target.0.events.events().len(), 3 + 1 + 3 + 1 + 3);
    assert_eq!(living.status().events, 0);
    until("the adopted folder is removed", async || second.status().adopted == 0).await;
    assert_eq!(directory.backlogs().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_was_not_finished_is_cut_off_and_a_damaged_one_is_a_dead_letter() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let spool = place.spool().await;
    let all = batches(4, 2);
    for batch in &all {
        spool.append(batch).await.unwrap();
    }
    drop(spool);
    let segment = place.segments().pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let starts: Vec<usize> =
        bytes.windows(7).enumerate().filter(|(_, it)| *it == b"#batch ").map(|(start, _)| start).collect();
    let file = fs::File::options().write(true).open(&segment).unwrap();
    // A bit of the second frame, and the end of the last.
    file.write_all_at(&[bytes[starts[1] + 120] ^ 1], starts[1] as u64 + 120).unwrap();
    file.set_len(bytes.len() as u64 - 3).unwrap();
    place.target.fail(None);
    let spool = place.spool().await;
    spool.wait_shipped().await.unwrap();
    assert_eq!(place.target.order(), [ids(&all[..1]), ids(&all[2..3])].concat());
    let letters = SpoolDirectory::open(place.directory()).await.unwrap().dead_letters().await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].event.is_none() && letters[0].reason.contains("damaged"), "{letters:?}");
    assert!(letters[0].text.as_ref().unwrap().starts_with("#batch "));
    spool.append(&all[3]).await.expect("the disk of another process's past does not end the writing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_changes_what_it_had_ends_the_writing() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let spool = place.spool().await;
    let all = batches(2, 2);
    spool.append(&all[0]).await.unwrap();
    until("the first is read", async || spool.status().target_error.is_some()).await;
    spool.append(&all[1]).await.unwrap();
    let segment = place.segments().pop().unwrap();
    let last = fs::read(&segment).unwrap().len() as u64 - 5;
    fs::File::options().write(true).open(&segment).unwrap().write_all_at(b"#", last).unwrap();
    place.target.fail(None);
    until("the damage is met", async || spool.status().dead_letters == 1).await;
    assert_eq!(spool.append(&[event()]).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(spool.health().await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_segment_that_was_shipped_while_it_was_written_is_shipped() {
    let place = Place::new();
    let spool = place.spool().await;
    // More than a segment holds: the next append begins another one.
    let full: Vec<AuditEvent> = (0..600).map(|_| large('a')).collect();
    spool.append(&full).await.unwrap();
    until("the full segment is shipped", async || spool.status().events == 0).await;
    spool.append(&[event()]).await.unwrap();
    until("the event behind it is shipped", async || spool.status().events == 0).await;
    assert_eq!(place.target.order().len(), 601);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_cut_short_is_damage_and_stops_no_shipping() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let spool = place.spool().await;
    let all = batches(3, 2);
    spool.append(&all[0]).await.unwrap();
    until("the first is read", async || spool.status().target_error.is_some()).await;
    for batch in &all[1..] {
        spool.append(batch).await.unwrap();
    }
    let segment = place.segments().pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let second = bytes.windows(7).enumerate().filter(|(_, it)| *it == b"#batch ").nth(1).unwrap().0 as u64;
    // What is left is the first frame and a part of the second.
    fs::File::options().write(true).open(&segment).unwrap().set_len(second + 100).unwrap();
    place.target.fail(None);
    until("the damage is met", async || spool.status().dead_letters == 1).await;
    until("what is left is shipped", async || spool.status().events == 0).await;
    assert_eq!(place.target.order(), ids(&all[..1]));
    assert_eq!(spool.health().await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let letters = SpoolDirectory::open(place.directory()).await.unwrap().dead_letters().await.unwrap();
    assert!(letters[0].reason.contains("damaged") && letters[0].text.as_ref().unwrap().starts_with("#batch "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_started_event_that_was_a_dead_letter_is_not_closed_after_its_end() {
    let place = Place::new();
    let spool = place.spool().await;
    let mut started = event();
    started.phase = Phase::Started;
    place.target.refuse(started.event_id);
    spool.append(std::slice::from_ref(&started)).await.unwrap();
    until("it is a dead letter", async || spool.status().dead_letters == 1).await;
    let mut end = event();
    end.request.started_event_id = Some(started.event_id);
    spool.append(std::slice::from_ref(&end)).await.unwrap();
    spool.wait_shipped().await.unwrap();
    spool.close().await.unwrap();
    place.target.0.refused.lock().unwrap().clear();
    let directory = SpoolDirectory::open(place.directory()).await.unwrap();
    let letters = directory.dead_letters().await.unwrap();
    assert_eq!(directory.retry(&[letters[0].name.clone()]).await.unwrap(), 1);
    let spool = place.spool().await;
    assert_eq!(spool.parts().recovery.unwrap().recover(&unknown_end).await.unwrap(), 0, "its end is known");
    spool.wait_shipped().await.unwrap();
    assert_eq!(place.target.order(), [end.event_id, started.event_id]);
}

/// A process dies between the two steps of closing: the end is durable, and the list of open events is as it was. Another one, which closes
/// nothing, ships what both have left.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_event_is_closed_once_though_the_process_that_closes_it_dies() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let bystander = place.spool().await;
    let first = place.spool().await;
    let mut started = event();
    started.phase = Phase::Started;
    first.append(std::slice::from_ref(&started)).await.unwrap();
    drop(first);
    let second = place.spool().await;
    {
        let mut closing = second.parts().recovery.unwrap().recover(&unknown_end);
        let is_written = || {
            let texts = place.segments().into_iter().filter_map(|segment| fs::read_to_string(segment).ok());
            texts.into_iter().any(|text| text.contains("\"unknown\""))
        };
        until("its end is written", async || {
            is_written() || poll_fn(|context| Poll::Ready(closing.as_mut().poll(context).is_ready())).await
        })
        .await;
    }
    drop(second);
    place.target.fail(None);
    bystander.wait_shipped().await.unwrap();
    until("nothing of the others is held", async || bystander.status().adopted == 0).await;
    let third = place.spool().await;
    third.parts().recovery.unwrap().recover(&unknown_end).await.unwrap();
    third.wait_shipped().await.unwrap();
    let events = place.target.0.events.events();
    let ends = events.iter().filter(|event| event.request.started_event_id == Some(started.event_id));
    assert_eq!(ends.count(), 1);
    drop(bystander);
    third.close().await.unwrap();
    until("no folder is left", async || {
        let spool = place.spool().await;
        spool.close().await.unwrap();
        fs::read_dir(place.directory()).unwrap().count() == 0
    })
    .await;
}

/// Closing takes no room that requests could have.
#[tokio::test(flavor = "multi_thread")]
async fn open_events_are_closed_by_a_process_whose_spool_is_full() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let open = async || {
        let builder = SpoolStore::builder(place.directory(), Arc::new(place.target.clone())).max_events(2);
        builder.timeout(Duration::from_secs(1)).open().await.unwrap()
    };
    let first = open().await;
    let mut started = event();
    started.phase = Phase::Started;
    first.append(&[event(), started.clone()]).await.unwrap();
    drop(first);
    let second = open().await;
    assert_eq!(second.parts().recovery.unwrap().recover(&unknown_end).await.unwrap(), 1);
    assert_eq!(second.status().events, 3);
    assert!(second.append(&[event()]).await.unwrap_err().is_transient());
    place.target.fail(None);
    second.wait_shipped().await.unwrap();
    assert_eq!(place.target.order().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_the_app_is_no_place_for_an_event_of_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let log = AuditLog::open(&format!("spool:{dir}/spool?to=sqlite:{dir}/audit.db")).await.unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("audit.db"));
    let mut app = SqlitePool::connect_with(options).await.unwrap().begin().await.unwrap();
    let error = log.record_in(&mut app, event()).await.unwrap_err();
    assert!(error.to_string().contains("spool"), "{error}");
    drop(app);
    log.close().await.unwrap();
}

/// A disk that the spool itself has filled has no room for the list of the requests that run.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_open_events_that_cannot_be_written_keeps_no_older_segment() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let spool = place.spool().await;
    let full: Vec<AuditEvent> = (0..600).map(|_| large('a')).collect();
    spool.append(&full).await.unwrap();
    let mut started = event();
    started.phase = Phase::Started;
    spool.append(std::slice::from_ref(&started)).await.unwrap();
    let segments = place.segments();
    assert_eq!(segments.len(), 2);
    // Nothing can be put in its place.
    fs::create_dir_all(segments[0].with_file_name("open").join("full")).unwrap();
    place.target.fail(None);
    until("everything is shipped", async || spool.status().events == 0).await;
    assert_eq!(place.target.order().len(), 601);
    until("the older segment is removed", async || !segments[0].exists()).await;
    assert!(segments[1].exists(), "it has an open event");
    drop(spool);
    let files = || fs::read_dir(segments[0].parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(files().filter(|path| path.extension().is_some_and(|end| end == "tmp")).count(), 0);
    fs::remove_dir_all(segments[0].with_file_name("open")).unwrap();
    let spool = place.spool().await;
    assert_eq!(spool.parts().recovery.unwrap().recover(&unknown_end).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_segment_refuses_one_append_and_its_events_are_shipped() {
    let place = Place::new();
    place.target.fail(Some(StoreErrorKind::Transient));
    let spool = place.spool().await;
    let all = batches(3, 2);
    spool.append(&all[0]).await.unwrap();
    for what in ["segment", "folder"] {
        let segment = place.segments().pop().unwrap();
        match what {
            "segment" => fs::remove_file(&segment).unwrap(),
            _ => fs::remove_dir_all(segment.parent().unwrap()).unwrap(),
        }
        let error = spool.append(&all[1]).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("removed"), "{what}: {error}");
        spool.append(&all[1]).await.unwrap();
    }
    spool.append(&all[2]).await.unwrap();
    place.target.fail(None);
    spool.wait_shipped().await.unwrap();
    assert_eq!(place.target.order(), ids(&all), "the open file still had them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_opens_while_its_target_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later");
    let url =
        format!("spool:{}?to=jsonl:{}", folder.path().join("spool").display(), later.join("audit.jsonl").display());
    // Without its folder the file is a mistake in the configuration, and said at once.
    let error = open(&url, OpenOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config, "{error}");
    let error = open(&format!("spool:{}?to=memory:", folder.path().join("a").display()), OpenOptions::new()).await;
    let chain = format!("{:?}", error.unwrap_err());
    assert!(chain.contains("durable store"), "{chain}");
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url =
        format!("spool:{}?to=postgres://nobody:hunter2@127.0.0.1:{port}/app", folder.path().join("spool").display());
    let options = OpenOptions::new().timeout(Duration::from_secs(1));
    let spool = open(&url, options).await.expect("the server may come back");
    spool.append(&[event()]).await.unwrap();
    spool.health().await.unwrap();
    assert!(!format!("{spool:?}").contains("hunter2"));
    let error = spool.parts().reader.unwrap().count(&Filter::default()).await.unwrap_err();
    assert!(error.is_transient() && !format!("{error:?}").contains("hunter2"), "{error}");
    spool.close().await.unwrap();
    let left = SpoolDirectory::open(folder.path().join("spool")).await.unwrap().backlogs().await.unwrap();
    assert_eq!(left.iter().map(|it| (it.is_alive, it.events)).collect::<Vec<_>>(), [(false, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let to = async |directory: &Path, create| {
        let url = format!("spool:{}?to=sqlite:{}", directory.display(), folder.path().join("a.db").display());
        open(&url, OpenOptions::new().create_if_missing(create)).await.map(drop).map_err(|error| error.to_string())
    };
    assert!(to(&file, true).await.unwrap_err().contains("no folder"));
    assert!(to(&folder.path().join("none/spool"), true).await.unwrap_err().contains("make it"));
    assert!(to(&folder.path().join("none"), false).await.unwrap_err().contains("not there"));
}
