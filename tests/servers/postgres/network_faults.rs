//! A network that fails at random between requests and their database: what was answered is kept once, and nobody waits
//! beyond the deadline.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::{AuditLayer, AuditLog, EventId, Phase};

use crate::cluster::Cluster;
use crate::postgres::chaos_proxy::{FAULTS, FaultyNetwork};
use crate::postgres::delay_monitor::SchedulingDelay;
use crate::postgres::support::{all, close_orphans, open};

const CLIENTS: usize = 48;
const DEADLINE: Duration = Duration::from_secs(1);
/// The slack of a request beyond the deadline.
const BEYOND: Duration = Duration::from_millis(100);
/// The storm lasts until each fault has happened so often, and so many requests have gone well in it.
const TIMES: u64 = 5;
const SUCCESSES: usize = 1000;
const AT_MOST: Duration = Duration::from_secs(60);

struct Shot {
    id: String,
    status: u16,
    begun: Instant,
    took: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_kept_once_and_nobody_waits_beyond_the_deadline() {
    let seed = std::env::var("STORM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("storm: STORM_SEED={seed}");
    let cluster = Cluster::shared();
    let database = cluster.database();
    let network = FaultyNetwork::to(cluster.port(), seed).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", network.port(), database.name());
    let log = AuditLog::builder().url(&url).write_timeout(DEADLINE).open().await.expect("the sun shines");
    let machine = SchedulingDelay::watch();

    network.set_faulty(true);
    let is_over = Arc::new(AtomicBool::new(false));
    let shots = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(one_client(client, log.clone(), is_over.clone(), shots.clone())))
        .collect();
    let begun = Instant::now();
    loop {
        let rare = FAULTS.iter().filter(|fault| network.times(**fault) < TIMES).collect::<Vec<_>>();
        let successes = shots.lock().expect("nobody panics").iter().filter(|shot| shot.status < 300).count();
        if rare.is_empty() && successes >= SUCCESSES {
            break;
        }
        assert!(begun.elapsed() < AT_MOST, "no real storm: {successes} successes, and rarely {rare:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    network.set_faulty(false);
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let stormy = begun.elapsed();
    // Events without a waiting caller may be lost with their batch; the log has to close, no more.
    let _ = log.close().await;
    let store = open(&database.url()).await;
    close_orphans(&*store).await;

    let events = all(&*store).await;
    let shots = std::mem::take(&mut *shots.lock().expect("nobody panics"));
    let request = |event: &tower_audit::AuditEvent| {
        event.request.request_id.as_deref().expect("every request has an id").to_owned()
    };
    let mut completed: Vec<String> =
        events.iter().filter(|event| event.phase == Phase::Completed).map(request).collect();
    let total = completed.len();
    completed.sort_unstable();
    completed.dedup();
    assert_eq!(completed.len(), total, "a request is recorded twice");
    let successes: Vec<&Shot> = shots.iter().filter(|shot| shot.status < 300).collect();
    for shot in &successes {
        assert!(completed.binary_search(&shot.id).is_ok(), "{} was answered and is lost", shot.id);
    }
    let mut ends: Vec<EventId> = events.iter().filter_map(|event| event.request.started_event_id).collect();
    ends.sort_unstable();
    let mut started: Vec<EventId> =
        events.iter().filter(|event| event.phase == Phase::Started).map(|event| event.event_id).collect();
    started.sort_unstable();
    assert_eq!(ends, started, "what was started is ended once");

    let latest = shots.iter().map(|shot| shot.took).max().unwrap_or_default();
    let failed = shots.len() - successes.len();
    println!(
        "storm: {} requests in {stormy:?}, {} of them 2xx, {failed} failed, {}, the longest took {latest:?} with a \
         deadline of {DEADLINE:?}; {} retries; the machine was late by {:?} at the most",
        shots.len(),
        successes.len(),
        FAULTS.map(|fault| format!("{} {fault:?}", network.times(fault))).join(", "),
        log.stats().retries,
        machine.latest(shots.iter().map(|shot| (shot.begun, shot.took))),
    );
    for shot in &shots {
        let late = machine.longest_within(shot.begun, shot.took);
        assert!(
            shot.took <= DEADLINE + BEYOND + late,
            "{} took {:?}; the machine was late by {late:?}",
            shot.id,
            shot.took
        );
        assert!(matches!(shot.status, 200 | 500 | 503), "{} was answered with {}", shot.id, shot.status);
    }
}

async fn one_client(client: usize, log: AuditLog, is_over: Arc<AtomicBool>, shots: Arc<Mutex<Vec<Shot>>>) {
    let handler = tower::service_fn(|_request: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("storm-{client}-{n}");
        let (method, path) =
            if n % 2 == 0 { (Method::POST, "/scans") } else { (Method::DELETE, "/auth/admin/users/bob") };
        let request = Request::builder().method(method).uri(path).header("x-request-id", &id);
        let request = request.body(Full::default()).expect("a valid request");
        let begun = Instant::now();
        let answer = service.clone().oneshot(request).await.expect("infallible");
        let shot = Shot { id, status: answer.status().as_u16(), begun, took: begun.elapsed() };
        shots.lock().expect("nobody panics").push(shot);
    }
}
