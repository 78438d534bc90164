//! The server goes: what was acknowledged is kept once, and service is back when it is.

use std::time::{Duration, Instant};

use tower_audit::AuditLog;

use crate::cluster::eventually;
use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, event, open, started};

const KILLS: usize = 16;
const WRITERS: u64 = 4;

/// The whole of it is awaited: writers write all the time, and the server is killed while they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_keeps_what_it_acknowledged_over_kills_of_the_server() {
    let server = MongodbServer::start(&[]);
    let url = server.new_url();
    // However long a busy machine takes to start the server.
    let log = AuditLog::builder().url(&url).write_timeout(Duration::from_secs(60)).open().await.expect("the log opens");
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (log, is_over) = (log.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let event = if writer == 0 { started(writer) } else { event(writer) };
                    let id = event.event_id;
                    if log.record(event).await.is_ok() {
                        acknowledged.push(id);
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for kill in 0..KILLS {
        let before = log.stats().written;
        let wanted = 1 + fastrand::u64(..12);
        eventually("the writers write", async || log.stats().written > before + wanted).await;
        server.crash();
        server.resume();
        let back = Instant::now();
        let before = log.stats().written;
        eventually("service is back", async || log.stats().written > before).await;
        longest = longest.max(back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(10), "after kill {kill}: {:?}", back.elapsed());
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer only writes"));
    }
    log.close().await.expect("the log closes");
    let store = open(&url).await;
    let mut kept: Vec<_> = all(&*store).await.iter().map(|event| event.event_id).collect();
    println!("{KILLS} kills, {} events, service back within {longest:?}", kept.len());
    kept.sort_unstable();
    assert!(kept.windows(2).all(|two| two[0] != two[1]), "an event is there twice");
    acknowledged.sort_unstable();
    assert_eq!(kept, acknowledged, "every outage ends within the deadline, so every event is acknowledged");
}

/// The only member gives up being the primary for a moment: for a client, as when another is elected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_primary_is_survived() {
    let server = MongodbServer::start(&[]);
    // Found as a replica set, and not addressed as one server.
    let url = format!("mongodb://127.0.0.1:{}/app?replicaSet=secantus", server.port());
    let log = AuditLog::builder().url(&url).write_timeout(Duration::from_secs(60)).open().await.expect("the log opens");
    let mut recorded = Vec::new();
    for round in 0..3 {
        recorded.push(log.record(event(round)).await.expect("there is a primary"));
        server.shell(&server.url("admin"), "db.command({'replSetStepDown': 2, 'force': True})");
        let begin = Instant::now();
        // Two while there is none, of which one is write-ahead.
        let two = tokio::join!(log.record(event(round)), log.record(started(round)));
        recorded.extend([two.0.expect("it waits for the next"), two.1.expect("it waits for the next")]);
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    }
    log.health().await.expect("there is a primary");
    log.close().await.expect("the log closes");
    let store = open(&url).await;
    let mut kept: Vec<_> = all(&*store).await.iter().map(|event| event.event_id).collect();
    kept.sort_unstable();
    recorded.sort_unstable();
    assert_eq!(kept, recorded);
}
