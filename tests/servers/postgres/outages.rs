//! The server goes, the network fails: what was acknowledged is kept once, and service is back at once.

use std::time::{Duration, Instant};

use tower_audit::AuditLog;

use crate::cluster::{Cluster, eventually};
use crate::postgres::proxy::{Mode, Proxy};
use crate::postgres::support::{all, append_at_last, event, ok, open, open_with_timeout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_works_as_soon_as_the_server_does() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = open(&database.url()).await;
    let mut kept = Vec::new();
    for round in 0..3 {
        kept.push(event(round));
        ok(store.append(&kept[kept.len() - 1..]).await);
        cluster.crash();
        let begin = Instant::now();
        let error = store.append(&[event(99)]).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(1), "a server that is gone is noticed at once");
        cluster.resume();
        let back = Instant::now();
        kept.push(event(round));
        append_at_last(&*store, &kept[kept.len() - 1..]).await;
        assert!(back.elapsed() < Duration::from_secs(1), "service after {:?}", back.elapsed());
    }
    kept.reverse();
    assert_eq!(all(&*store).await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_keeps_what_it_acknowledged_over_crashes() {
    let cluster = Cluster::start();
    let database = cluster.database();
    // However long a busy machine takes to start the server.
    let log = AuditLog::builder().url(&database.url()).write_timeout(Duration::from_secs(60)).open().await;
    let log = log.expect("the log opens");
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0..400 {
                    let event = event(writer * 1000 + n);
                    let id = event.event_id;
                    if log.record(event).await.is_ok() {
                        acknowledged.push(id);
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..3 {
        let before = log.stats().written;
        eventually("the writers write", async || log.stats().written > before + 20 || log.stats().written >= 1500)
            .await;
        cluster.crash();
        cluster.resume();
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer only writes"));
    }
    assert_eq!(acknowledged.len(), 1600, "every outage ends within the deadline");
    log.close().await.expect("the log closes");
    let store = open(&database.url()).await;
    let mut kept: Vec<_> = all(&*store).await.iter().map(|event| event.event_id).collect();
    acknowledged.sort_unstable();
    kept.sort_unstable();
    assert_eq!(kept, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_are_replaced() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let (first, second) = (event(1), event(2));
    ok(store.append(std::slice::from_ref(&first)).await);
    assert_eq!(all(&*store).await.len(), 1);
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    append_at_last(&*store, std::slice::from_ref(&second)).await;
    eventually("reading works", async || match store.parts().reader {
        Some(reader) => reader.get(first.event_id).await.is_ok(),
        None => false,
    })
    .await;
    assert_eq!(all(&*store).await, [second, first]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_kept_once() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::to(cluster.port()).await;
    let store = open(&format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), database.name())).await;
    let mut kept = vec![event(0), event(1), event(2)];
    for (single, several) in [(event(3), [event(4), event(5)]), (event(6), [event(7), event(8)])] {
        for batch in [std::slice::from_ref(&single), &several] {
            // The statements are prepared by now: the next exchange is the execution alone.
            ok(store.append(&kept[..1]).await);
            ok(store.append(&kept[1..3]).await);
            kept.extend_from_slice(batch);
            let count = kept.len().to_string();
            proxy.set(Mode::LoseAnswer);
            let error = store.append(batch).await.unwrap_err();
            assert!(error.is_transient(), "{error}");
            assert!(proxy.is(Mode::Pass), "an answer was lost");
            assert_eq!(database.sql("SELECT count(*) FROM audit_events"), count, "it was committed all the same");
            append_at_last(&*store, batch).await;
            assert_eq!(database.sql("SELECT count(*) FROM audit_events"), count);
        }
    }
    kept.reverse();
    assert_eq!(all(&*store).await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_costs_no_more_than_the_timeout() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::to(cluster.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), database.name());
    let store = open_with_timeout(&url, Duration::from_millis(700)).await;
    proxy.set(Mode::Swallow);
    for _ in 0..2 {
        let begin = Instant::now();
        let error = store.append(&[event(1)]).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    }
    proxy.set(Mode::Pass);
    append_at_last(&*store, &[event(2)]).await;
    ok(store.health().await);
}
