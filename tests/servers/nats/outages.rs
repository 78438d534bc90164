//! Servers that die, hang or lose their disk while events are written.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tower_audit::store::open;
use tower_audit::{AuditEvent, AuditLog, EventId, EventType};

use super::opening::options;
use crate::nats_cluster::{Cluster, eventually};

/// Writers that never pause, and the events that they have an acknowledgement for.
pub(super) struct Load {
    log: AuditLog,
    acknowledged: Arc<Mutex<HashSet<EventId>>>,
    refused: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub(super) async fn start(cluster: &Cluster) -> Self {
        // A cluster that has just started takes longer than a log waits.
        open(&cluster.url(""), options()).await.expect("the cluster is there");
        let log = AuditLog::open(&cluster.url("")).await.expect("the cluster is there");
        let (acknowledged, refused, is_over) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { log, acknowledged, refused, is_over, writers: Vec::new() };
        load.writers = (0..16).map(|_| tokio::spawn(load.writer())).collect();
        load
    }

    fn writer(&self) -> impl Future<Output = ()> + use<> {
        let (log, acknowledged) = (self.log.clone(), Arc::clone(&self.acknowledged));
        let (refused, is_over) = (Arc::clone(&self.refused), Arc::clone(&self.is_over));
        async move {
            while !is_over.load(Ordering::Relaxed) {
                let event = AuditEvent::new(EventType::UPLOAD);
                let id = event.event_id;
                match log.record(event).await {
                    Ok(_) => drop(acknowledged.lock().expect("no panic").insert(id)),
                    Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                }
                // A queue of clients, not a loop that takes the machine.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len()
    }

    /// Waits for a further acknowledgement of each writer, and returns the time that it took.
    pub(super) async fn goes_on(&self) -> Duration {
        let (start, before) = (Instant::now(), self.count());
        eventually("events are acknowledged", async || self.count() > before + 16).await;
        start.elapsed()
    }

    /// Ends the writers, checks that each acknowledged event is in the stream once, and returns them.
    pub(super) async fn check(self, cluster: &Cluster) -> HashSet<EventId> {
        self.is_over.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("no panic");
        }
        self.log.close().await.expect("it closes");
        let client = cluster.client().await;
        let (events, _) = cluster.events(&client, "AUDIT-0").await;
        let stored: HashSet<_> = events.iter().map(|event| event.event_id).collect();
        let acknowledged = self.acknowledged.lock().expect("no panic");
        let missing: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(missing.is_empty(), "{} of {} are missing", missing.len(), acknowledged.len());
        assert_eq!(stored.len(), events.len(), "events are in the stream more than once");
        acknowledged.clone()
    }
}

/// The number of servers to kill; more of them for a campaign.
pub(super) fn kills() -> usize {
    std::env::var("NATS_KILLS").ok().map_or(2, |kills| kills.parse().expect("`NATS_KILLS` is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_and_followers_die_in_turn_and_no_acknowledged_event_is_lost() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster).await;
    load.goes_on().await;
    let client = cluster.client().await;
    let mut longest = Duration::ZERO;
    for kill in 0..kills() {
        let leader = cluster.leader(&client, "AUDIT-0").await;
        let victim = if kill % 2 == 0 { leader } else { (leader + 1) % 3 };
        cluster.kill(victim);
        let took = load.goes_on().await;
        longest = longest.max(took);
        assert!(took < Duration::from_secs(10), "kill {kill}, of the leader: {}: {took:?}", victim == leader);
        if kill == 1 {
            cluster.wipe(victim);
        }
        cluster.resume(victim);
        cluster.caught_up(&client, "AUDIT-0").await;
    }
    println!(
        "{} kills: {} acknowledged, {} refused, {longest:?} at most without service",
        kills(),
        load.count(),
        load.refused.load(Ordering::Relaxed)
    );
    load.check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hangs_is_replaced_and_without_a_majority_events_are_refused() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster).await;
    load.goes_on().await;
    let client = cluster.client().await;
    let leader = cluster.leader(&client, "AUDIT-0").await;
    cluster.signal(leader, Signal::STOP);
    let took = load.goes_on().await;
    assert!(took < Duration::from_secs(20), "a leader that hangs: {took:?}");

    let other = (leader + 1) % 3;
    cluster.signal(other, Signal::STOP);
    let refused = load.refused.load(Ordering::Relaxed);
    eventually("events are refused", async || load.refused.load(Ordering::Relaxed) > refused + 16).await;
    assert!(load.log.health().await.is_err());

    cluster.signal(leader, Signal::CONT);
    cluster.signal(other, Signal::CONT);
    load.goes_on().await;
    eventually("it is healthy", async || load.log.health().await.is_ok()).await;
    load.check(&cluster).await;
}
