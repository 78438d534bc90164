//! Measurements, for a quiet machine: `cargo test --all-features --test servers nats::measurements -- --ignored --nocapture --test-threads 1`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tower_audit::store::open;
use tower_audit::{AuditEvent, AuditLog, EventType};

use super::opening::options;
use super::outages::Load;
use crate::nats_cluster::Cluster;

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line of it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn events_a_second() {
    let cluster = Cluster::start();
    open(&cluster.url(""), options()).await.unwrap();
    for writers in [1, 64, 256] {
        let log = AuditLog::open(&cluster.url("")).await.unwrap();
        let (count, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let start = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let (log, count, is_over) = (log.clone(), Arc::clone(&count), Arc::clone(&is_over));
                tokio::spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("it is written");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let client = cluster.client().await;
        let messages = async || {
            let info = cluster.api(&client, "STREAM.INFO.AUDIT-0", Value::Null).await;
            info["state"]["messages"].as_u64().expect("a number")
        };
        let before = messages().await;
        // The span that is measured.
        tokio::time::sleep(Duration::from_secs(5)).await;
        is_over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("no panic");
        }
        let (events, seconds) = (count.load(Ordering::Relaxed), start.elapsed().as_secs_f64());
        let messages = messages().await - before;
        println!(
            "{writers} writers: {:.0} events/s in {:.0} messages/s",
            events as f64 / seconds,
            messages as f64 / seconds
        );
        log.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn memory_without_servers() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster).await;
    load.goes_on().await;
    // Until the memory is that of a log that writes for a while.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = resident();
    for node in 0..3 {
        cluster.kill(node);
    }
    let mut most = before;
    for second in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        most = most.max(resident());
        if second % 20 == 19 {
            println!("after {} s without a server: {} KiB", second + 1, resident());
        }
    }
    println!("before {before} KiB, at most {most} KiB");
    for node in 0..3 {
        cluster.resume(node);
    }
    let took = load.goes_on().await;
    println!("service after {took:?}, {} KiB", resident());
    load.check(&cluster).await;
}
