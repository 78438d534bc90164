//! During a hang of any kind, each request is answered in time and the log opens no more sessions than it may; service
//! returns when the hang is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tower_audit::query::Filter;
use tower_audit::{AuditLog, EventId};

use crate::cluster::{Cluster, Database, eventually};
use crate::postgres::delay_monitor::SchedulingDelay;
use crate::postgres::proxy::{Mode, Proxy};
use crate::postgres::session_monitor::{SessionCount, Stopped};
use crate::postgres::support::{all, event, open, open_with_timeout, started};

const DEADLINE: Duration = Duration::from_secs(1);
/// The slack of a request beyond the deadline and the scheduling delay.
const BEYOND: Duration = Duration::from_millis(100);
const CLIENTS: u64 = 8;
/// A client asks again after that long.
const PACE: Duration = Duration::from_millis(10);

/// A log under a steady load: half of the clients record what needs the writer's lock.
struct Scene {
    log: AuditLog,
    shots: Arc<Mutex<Vec<Shot>>>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    session_count: SessionCount,
    machine: SchedulingDelay,
}

struct Shot {
    client: u64,
    begun: Instant,
    took: Duration,
    recorded: Option<EventId>,
}

impl Scene {
    async fn begin(database: &Database<'_>, url: &str) -> Self {
        // A busy machine may take longer than the short deadline of what follows.
        let mut log = None;
        eventually("the log opens", async || {
            log = AuditLog::builder().url(url).write_timeout(DEADLINE).open().await.ok();
            log.is_some()
        })
        .await;
        let log = log.expect("it is open");
        let (shots, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let session_count = SessionCount::of(database).await;
        let machine = SchedulingDelay::watch();
        let clients = (0..CLIENTS).map(|client| {
            let (log, shots, is_over) = (log.clone(), shots.clone(), is_over.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let event = if client % 2 == 0 { event(client) } else { started(client) };
                    let begun = Instant::now();
                    let recorded = log.record(event).await.ok();
                    let shot = Shot { client, begun, took: begun.elapsed(), recorded };
                    shots.lock().expect("nobody panics").push(shot);
                    tokio::time::sleep(PACE).await;
                }
            })
        });
        let clients = clients.collect();
        let scene = Self { log, shots, is_over, clients, session_count, machine };
        scene.all_are_served("at first").await;
        scene
    }

    /// Waits until each client has had a success that it asked for from now on.
    async fn all_are_served(&self, when: &str) {
        let since = Instant::now();
        eventually(when, async || {
            let shots = self.shots.lock().expect("nobody panics");
            (0..CLIENTS).all(|client| {
                let of_this = |shot: &&Shot| shot.client == client && shot.begun >= since;
                shots.iter().filter(of_this).any(|shot| shot.recorded.is_some())
            })
        })
        .await;
    }

    /// Waits until so many requests, begun from now on, have failed.
    async fn fail(&self, times: usize) {
        let since = Instant::now();
        eventually("requests fail", async || {
            let shots = self.shots.lock().expect("nobody panics");
            shots.iter().filter(|shot| shot.begun >= since && shot.recorded.is_none()).count() >= times
        })
        .await;
    }

    /// Waits until health gives this reason. What does not answer may have none yet.
    async fn is_ill(&self, reason: &str) {
        eventually(reason, async || match self.log.health().await {
            Ok(()) => false,
            Err(error) => error.to_string().contains(reason),
        })
        .await;
    }

    /// Service is back, everything was answered in time and is there, and there were never too many sessions.
    async fn ends_well(self, database: &Database<'_>) {
        self.all_are_served("service is back").await;
        eventually("health is well", async || self.log.health().await.is_ok()).await;
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("a client does not panic");
        }
        self.session_count.assert_bounded();
        self.log.close().await.expect("it closes");
        let mut there: Vec<EventId> =
            all(&*open(&database.url()).await).await.iter().map(|event| event.event_id).collect();
        there.sort_unstable();
        for Shot { client, begun, took, recorded } in &*self.shots.lock().expect("nobody panics") {
            let late = self.machine.longest_within(*begun, *took);
            assert!(
                *took <= DEADLINE + BEYOND + late,
                "{client} waited for {took:?}; the machine was late by {late:?}"
            );
            if let Some(id) = recorded {
                assert!(there.binary_search(id).is_ok(), "acknowledged and not there");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_locked() {
    let database = Cluster::shared().database();
    let scene = Scene::begin(&database, &database.url()).await;
    let held = database.hold("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE");
    let store = scene.log.store().expect("it is on").clone();
    for _ in 0..12 {
        let reader = store.parts().reader.expect("it is read");
        let asked = tokio::time::timeout(Duration::from_millis(100), reader.count(&Filter::default())).await;
        assert!(asked.is_err(), "the table is locked");
    }
    scene.fail(3 * CLIENTS as usize).await;
    scene.is_ill("holds a lock").await;
    drop(held);
    scene.ends_well(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_is_stopped() {
    let database = Cluster::shared().database();
    let scene = Scene::begin(&database, &database.url()).await;
    let stopped = Stopped::those(&database, "true");
    scene.fail(2 * CLIENTS as usize).await;
    scene.is_ill("not answer").await;
    drop(stopped);
    scene.ends_well(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_of_the_writers_lock_is_stopped() {
    const HOLDER: &str = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1)";
    let database = Cluster::shared().database();
    let scene = Scene::begin(&database, &database.url()).await;
    // It is asked every quarter of a second, and has a second to answer.
    let stopped = Stopped::those(&database, HOLDER);
    scene.is_ill("the writer's lock").await;
    scene.fail(CLIENTS as usize / 2).await;
    drop(stopped);
    scene.ends_well(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::to(cluster.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), database.name());
    let scene = Scene::begin(&database, &url).await;
    proxy.set(Mode::Swallow);
    scene.fail(2 * CLIENTS as usize).await;
    scene.is_ill("not answer").await;
    proxy.set(Mode::Pass);
    scene.ends_well(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_away() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let scene = Scene::begin(&database, &database.url()).await;
    require(&cluster, "nobody");
    scene.fail(3 * CLIENTS as usize).await;
    scene.is_ill("replica").await;
    require(&cluster, "");
    scene.ends_well(&database).await;
}

/// An event that is there, and of which no replica knows, is not acknowledged when it is appended once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_wait_for_a_replica_was_ended_is_waited_for_again() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = open_with_timeout(&database.url(), Duration::from_millis(500)).await;
    // A busy machine may take longer than its short deadline.
    eventually("commits are answered", async || store.append(&[event(0), started(0)]).await.is_ok()).await;
    require(&cluster, "nobody");
    // Each process of the server hears of it when it does.
    eventually("commits wait", async || store.append(&[event(9)]).await.is_err()).await;
    for repeated in [event(1), started(2)] {
        let error = store.append(std::slice::from_ref(&repeated)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        eventually("it is committed here", async || {
            database.sql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event = 'SyncRep'",
            );
            let there = format!("SELECT count(*) FROM audit_events WHERE event_id = '{}'", repeated.event_id);
            database.sql(&there) == "1"
        })
        .await;
        let again = store.append(std::slice::from_ref(&repeated)).await;
        assert!(again.is_err(), "no replica has it");
    }
    require(&cluster, "");
    eventually("commits wait no longer", async || store.append(&[event(3)]).await.is_ok()).await;
}

/// Has commits wait for this replica from now on.
fn require(cluster: &Cluster, replica: &str) {
    // This commit needs none.
    cluster.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{replica}'"));
    cluster.sql("postgres", "SELECT pg_reload_conf()");
}
