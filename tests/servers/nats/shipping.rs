//! From the streams into a store that is read: in order, each event once, whatever is killed.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::shipping::{ShipSource, Shipper, StreamSource};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, Durability, MemoryStore, OpenOptions, StoreErrorKind, StoreFuture, open,
};
use tower_audit::{AuditEvent, EventId, EventType, Timestamp};

use super::opening::options;
use super::outages::{Load, kills};
use crate::nats_cluster::{Cluster, eventually};

fn batch(events: usize) -> Vec<AuditEvent> {
    (0..events).map(|_| AuditEvent::new(EventType::UPLOAD)).collect()
}

fn ids(events: &[AuditEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.event_id).collect()
}

/// A store that keeps the order in which events arrive.
#[derive(Debug, Default)]
struct Arrivals(Mutex<Vec<EventId>>);

impl Arrivals {
    fn ids(&self) -> Vec<EventId> {
        self.0.lock().expect("no panic").clone()
    }
}

impl AuditStore for Arrivals {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("arrivals").with_durable(true)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        let mut known = self.0.lock().expect("no panic");
        let new: Vec<_> = ids(events).into_iter().filter(|id| !known.contains(id)).collect();
        known.extend(new);
        Box::pin(std::future::ready(Ok(())))
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

fn shipper(source: StreamSource, to: &Arc<MemoryStore>) -> Shipper<StreamSource> {
    Shipper::with_durability(source, Arc::clone(to) as Arc<dyn AuditStore>, Durability::Warn)
        .expect("any store is taken")
}

/// Ships until nothing waits.
async fn drain(shipper: &mut Shipper<StreamSource>) -> u64 {
    let mut shipped = 0;
    loop {
        match shipper.step().await.expect("it is shipped").events {
            0 => return shipped,
            events => shipped += events,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_every_stream_are_shipped_once_and_in_order() {
    let place = Cluster::shared().place();
    let url = place.url("&streams=2&partition=0");
    let first = open(&url, options()).await.unwrap();
    let second = open(&place.url("&streams=2&partition=1"), options()).await.unwrap();
    let (mut sent, mut other) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let events = batch(3);
        first.append(&events).await.unwrap();
        sent.extend(ids(&events));
    }
    for _ in 0..5 {
        let events = batch(1);
        second.append(&events).await.unwrap();
        other.extend(ids(&events));
    }
    let mut source = StreamSource::open(&url).await.unwrap();
    // Unacknowledged, it comes again.
    let taken = ids(&source.next(10).await.unwrap());
    assert_eq!(taken, ids(&source.next(10).await.unwrap()).as_slice()[..taken.len()]);
    let progress = source.progress().await.unwrap();
    assert_eq!(progress.iter().map(|stream| stream.acknowledged).sum::<u64>(), 0);
    let to = Arc::new(Arrivals::default());
    let mut shipping = Shipper::new(source, Arc::clone(&to) as Arc<dyn AuditStore>).unwrap();
    assert_eq!(drain(&mut shipping).await, 125);
    let stored = to.ids();
    let of = |wanted: &[EventId]| stored.iter().copied().filter(|id| wanted.contains(id)).collect::<Vec<_>>();
    assert_eq!((of(&sent), of(&other)), (sent.clone(), other));
    assert!(shipping.status().get().until.is_some());

    // What comes later follows; what was shipped does not come again.
    let later = batch(2);
    first.append(&later).await.unwrap();
    drop(shipping);
    let source = StreamSource::open(&url).await.unwrap();
    assert_eq!(drain(&mut Shipper::new(source, Arc::clone(&to) as Arc<dyn AuditStore>).unwrap()).await, 2);
    assert_eq!(to.ids().len(), 127);

    // A replay, from a number and from a time, for a store that has lost its events.
    let source = StreamSource::replay_from(&url, 41).await.unwrap();
    assert_eq!(drain(&mut shipper(source, &Arc::new(MemoryStore::new()))).await, 2);
    let source = StreamSource::replay_since(&url, Timestamp::from_micros(0).unwrap()).await.unwrap();
    let again = Arc::new(MemoryStore::new());
    assert_eq!(drain(&mut shipper(source, &again)).await, 127);
    let source = StreamSource::open(&url).await.unwrap();
    assert!(source.progress().await.unwrap().iter().all(|one| one.pending == 0 && one.unacknowledged == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_consumer_is_given_nothing_until_it_goes_on() {
    let place = Cluster::shared().place();
    let url = place.url("");
    let store = open(&url, options()).await.unwrap();
    store.append(&batch(3)).await.unwrap();
    let source = StreamSource::open(&url).await.unwrap();
    source.pause("2099-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    eventually("it is paused", async || source.progress().await.unwrap()[0].is_paused).await;
    let to = Arc::new(MemoryStore::new());
    let mut shipping = shipper(source, &to);
    assert_eq!(drain(&mut shipping).await, 0);
    StreamSource::open(&url).await.unwrap().pause(Timestamp::from_micros(0).unwrap()).await.unwrap();
    eventually("it goes on", async || drain(&mut shipping).await == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_no_event_is_set_aside_and_stops_nothing() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let url = place.url("");
    let store = open(&url, options()).await.unwrap();
    let (before, after) = (batch(1), batch(1));
    store.append(&before).await.unwrap();
    let client = cluster.client().await;
    let good = serde_json::to_string(&batch(1)[0]).unwrap();
    for payload in [format!("no event\n{good}\n"), String::new(), "{}".into()] {
        let published = client.request(format!("{}.0", place.subject()), payload.into()).await.unwrap();
        assert!(String::from_utf8_lossy(&published.payload).contains("\"seq\""));
    }
    store.append(&after).await.unwrap();

    let to = Arc::new(MemoryStore::new());
    let mut stopped = shipper(StreamSource::open(&url).await.unwrap(), &to);
    let refused = loop {
        match stopped.step().await {
            Ok(step) => assert!(step.events > 0, "it goes on without a place for dead letters"),
            Err(error) => break error,
        }
    };
    assert!(
        refused.kind() == StoreErrorKind::Corrupt && refused.to_string().contains("line 1 of message 2"),
        "{refused}"
    );
    drop(stopped);

    let folder = tempfile::tempdir().unwrap();
    let source = StreamSource::open(&url).await.unwrap().dead_letters(folder.path());
    let mut shipping = shipper(source, &to);
    eventually("everything is shipped", async || {
        drain(&mut shipping).await;
        to.events().len() == 3
    })
    .await;
    assert!(ids(&to.events()).contains(&after[0].event_id));
    let letters = std::fs::read_dir(folder.path().join("dead-letters")).unwrap().count();
    assert_eq!(letters, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_somebody_else_is_not_used() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let client = cluster.client().await;
    open(&place.url(""), options()).await.unwrap();
    let config = json!({"stream_name": place.stream(), "config": {"durable_name": "ship", "name": "ship", "ack_policy": "explicit"}});
    let made = cluster.api(&client, &format!("CONSUMER.CREATE.{}.ship", place.stream()), config).await;
    assert!(made["error"].is_null(), "{made}");
    let refused = StreamSource::open(&place.url("")).await.unwrap_err();
    assert!(refused.kind() == StoreErrorKind::Config && refused.to_string().contains("`ack_policy`"), "{refused}");
    StreamSource::open(&place.url("&consumer=ours")).await.unwrap();
    let refused = StreamSource::open(&cluster.url("&stream=NONE&subject=none")).await.unwrap_err();
    assert!(refused.to_string().contains("there is no stream \"NONE-0\""), "{refused}");
}

/// The program, shipping into an SQLite file.
struct Program(Child);

impl Program {
    fn start(url: &str, folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-audit"));
        let to = format!("sqlite:{}", folder.join("audit.db").display());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
        command
            .args(["ship", "--follow", "--from", url, "--to", &to])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"));
        Self(command.spawn().expect("the program starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn stored(folder: &TempDir) -> Vec<AuditEvent> {
    let url = format!("sqlite:{}", folder.path().join("audit.db").display());
    let Ok(store) = open(&url, OpenOptions::new().create_if_missing(false)).await else { return Vec::new() };
    let reader = store.parts().reader.expect("it can be read");
    reader.query(&PageQuery::new(Filter::new(), 1_000_000)).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_that_are_killed_in_turn_ship_each_acknowledged_event_once() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster).await;
    load.goes_on().await;
    let folder = tempfile::tempdir().unwrap();
    let url = cluster.url("");
    let mut programs = [Program::start(&url, folder.path()), Program::start(&url, folder.path())];
    let client = cluster.client().await;
    for kill in 0..kills() {
        let before = stored(&folder).await.len();
        eventually("events are shipped", async || stored(&folder).await.len() > before + 16).await;
        programs[kill % 2] = Program::start(&url, folder.path());
        if kill % 2 == 1 {
            let leader = cluster.leader(&client, "AUDIT-0").await;
            cluster.kill(leader);
            load.goes_on().await;
            cluster.resume(leader);
            cluster.caught_up(&client, "AUDIT-0").await;
        }
    }
    let acknowledged = load.check(&cluster).await;
    let mut missing = acknowledged.len();
    eventually("every event is shipped", async || {
        let stored: HashSet<_> = ids(&stored(&folder).await).into_iter().collect();
        missing = acknowledged.difference(&stored).count();
        missing == 0
    })
    .await;
    let all = ids(&stored(&folder).await);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    let status =
        Command::new(env!("CARGO_BIN_EXE_tower-audit")).args(["ship", "--status", "--from", &url]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status[0]["stream"], "AUDIT-0", "{status}");
    println!("{} kills of the program: {} shipped", kills(), all.len());
}
