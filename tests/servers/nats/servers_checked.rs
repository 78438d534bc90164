//! Servers that acknowledge before they sync are refused, at the start and later.

use std::time::{Duration, Instant};

use tower_audit::store::{AuditStore as _, StoreErrorKind, open};
use tower_audit::{AuditEvent, EventType};

use super::opening::options;
use crate::nats_cluster::{ALWAYS, Cluster, DEFAULT, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_the_default_sync_interval_is_refused() {
    let cluster = Cluster::start_with(&[ALWAYS, DEFAULT, "sync_interval: \"10s\""], "");
    let refused = open(&cluster.url(""), options()).await.unwrap_err();
    let text = refused.to_string();
    assert_eq!(refused.kind(), StoreErrorKind::NotDurable, "{text}");
    assert!(text.contains("\"n1\" syncs every 120 s") && text.contains("\"n2\" syncs every 10 s"), "{text}");
    let monitors = cluster.monitors().join(",");
    let refused = open(&cluster.url_without_evidence(&format!("monitor={monitors}")), options()).await.unwrap_err();
    assert!(refused.to_string().contains("\"n1\" syncs every 120 s"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_switched_while_it_is_written_to_is_reported_within_a_minute() {
    let cluster = Cluster::start();
    let store = open(&cluster.url(""), options()).await.unwrap();
    let append = || async { store.append(&[AuditEvent::new(EventType::UPLOAD)]).await };
    append().await.unwrap();
    store.health().await.unwrap();

    cluster.kill(2);
    // With one server down, a majority is there.
    eventually("two servers take events", async || append().await.is_ok()).await;
    cluster.configure(2, DEFAULT);
    cluster.resume(2);
    let switched = Instant::now();
    // Nobody asks for its health: the appends find out.
    eventually("appends are refused", async || {
        append().await.is_err_and(|error| error.kind() == StoreErrorKind::NotDurable)
    })
    .await;
    let refused = store.health().await.unwrap_err();
    assert!(refused.to_string().contains("\"n2\" syncs every 120 s"), "{refused}");
    assert!(switched.elapsed() < Duration::from_secs(60));

    cluster.kill(2);
    cluster.configure(2, ALWAYS);
    cluster.resume(2);
    eventually("appends are accepted", async || append().await.is_ok()).await;
    store.health().await.unwrap();
}
