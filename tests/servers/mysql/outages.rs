//! The server goes, sessions are ended, a process dies: what was acknowledged is kept once, and service is back at once.

use std::time::{Duration, Instant};

use tower_audit::AuditLog;
use tower_audit::store::OpenOptions;

use crate::mariadb::{Server, eventually};
use crate::mysql::support::{all, append_at_last, close_orphans, end_of, event, ok, open, started};
use crate::postgres::proxy::{Mode, Proxy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_works_as_soon_as_the_server_does() {
    let server = Server::start();
    let database = server.database();
    let store = open(&database.url()).await;
    let mut kept = Vec::new();
    for round in 0..3 {
        kept.push(event(round));
        ok(store.append(&kept[kept.len() - 1..]).await);
        server.crash();
        let begin = Instant::now();
        let error = store.append(&[event(99)]).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(1), "a server that is gone is noticed at once");
        server.resume();
        let back = Instant::now();
        kept.push(event(round));
        append_at_last(&*store, &kept[kept.len() - 1..]).await;
        assert!(back.elapsed() < Duration::from_secs(3), "service after {:?}", back.elapsed());
    }
    kept.reverse();
    assert_eq!(all(&*store).await, kept);
}

/// Sixteen times, while four writers append.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_keeps_what_it_acknowledged_over_crashes_of_the_server() {
    const CRASHES: u64 = 16;
    let server = Server::start();
    let database = server.database();
    let log = AuditLog::builder().url(&database.url()).write_timeout(Duration::from_secs(60)).open().await;
    let log = log.expect("the log opens");
    let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (log, is_over) = (log.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    let event = event(writer * 1_000_000 + n);
                    let id = event.event_id;
                    if log.record(event).await.is_ok() {
                        acknowledged.push(id);
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..CRASHES {
        let before = log.stats().written;
        eventually("the writers write", async || log.stats().written > before + 20).await;
        server.crash();
        server.resume();
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer only writes"));
    }
    log.close().await.expect("the log closes");
    let store = open(&database.url()).await;
    let mut kept: Vec<_> = all(&*store).await.iter().map(|event| event.event_id).collect();
    kept.sort_unstable();
    acknowledged.sort_unstable();
    let missing = acknowledged.iter().filter(|id| kept.binary_search(id).is_err()).count();
    assert_eq!(missing, 0, "of {}", acknowledged.len());
    assert!(kept.len() >= acknowledged.len() && kept.windows(2).all(|pair| pair[0] < pair[1]), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_killed_are_replaced() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    for round in 0..3 {
        ok(store.append(&[event(round)]).await);
        let kill = format!(
            "SELECT CONCAT('KILL ', ID) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND ID <> CONNECTION_ID()",
            database.name()
        );
        for statement in database.sql(&kill).lines() {
            // One may have ended meanwhile.
            let _ = database.sql_as("root", statement);
        }
        append_at_last(&*store, &[event(round)]).await;
    }
    assert_eq!(all(&*store).await.len(), 6);
}

/// A writer that lost its session is not dead; one whose process has gone is, and its events are closed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_events_of_the_dead_are_closed_and_those_of_the_living_are_not() {
    let database = Server::shared().database();
    let (first, second) = (open(&database.url()).await, open(&database.url()).await);
    let begun = [started(1), started(2)];
    ok(first.append(&begun).await);
    assert_eq!(close_orphans(&*second).await, 0, "its writer lives");
    ok(first.append(&[end_of(&begun[0])]).await);
    // Without a farewell, as a process that is killed.
    drop(first);
    eventually("the lock is released", async || close_orphans(&*second).await == 1).await;
    assert_eq!(close_orphans(&*second).await, 0, "each once");
    assert_eq!(all(&*second).await.len(), 4);
    assert_eq!(database.sql("SELECT COUNT(*) FROM audit_events_started"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_batch_changes_nothing_whoever_repeats_it() {
    let database = Server::shared().database();
    let (one, other) = (open(&database.url()).await, open(&database.url()).await);
    let events: Vec<_> = (0..200).map(event).collect();
    let (left, right) = tokio::join!(one.append(&events), other.append(&events));
    ok(left);
    ok(right);
    ok(one.append(&events[50..]).await);
    assert_eq!(all(&*one).await.len(), 200);
}

/// A reader can see a commit before it is on the disk. So a repeat that inserts nothing commits a row, and its answer is as good
/// as that of an append.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_that_inserts_nothing_commits_all_the_same() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    let commits = || database.sql("SELECT commits FROM audit_events_version");
    let (single, begun) = (event(1), started(2));
    let pair = [event(3), end_of(&begun)];
    for (round, counted) in ["0", "3", "6"].into_iter().enumerate() {
        ok(store.append(std::slice::from_ref(&single)).await);
        ok(store.append(std::slice::from_ref(&begun)).await);
        ok(store.append(&pair).await);
        assert_eq!(commits(), counted, "round {round}");
    }
    // An event that is new is a row of its own.
    ok(store.append(&[single, event(4)]).await);
    assert_eq!(commits(), "6");
    assert_eq!(all(&*store).await.len(), 5);
}

/// A batch that is larger than a packet goes in pieces, and is there as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_larger_than_a_packet_is_split() {
    let server = Server::start_with(&["--max-allowed-packet=1M"]);
    let database = server.database();
    let store = open(&database.url()).await;
    let events: Vec<_> = (0..150)
        .map(|n| {
            let mut event = event(n);
            for key in 0..4 {
                event.details.insert(format!("k{key}"), "\u{1}".repeat(4000).into());
            }
            event.truncate_to_limits();
            event
        })
        .collect();
    ok(store.append(&events).await);
    assert_eq!(all(&*store).await.len(), 150);
    server.stop();
    server.resume_with(&["--max-allowed-packet=64K"]);
    let refused = tower_audit::store::open(&database.url(), OpenOptions::default()).await.expect_err("too small");
    assert!(refused.to_string().contains("max_allowed_packet"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_answer_is_lost_is_kept_once() {
    let server = Server::shared();
    let database = server.database();
    let proxy = Proxy::to(server.port()).await;
    let url = format!("mysql://root@127.0.0.1:{}/{}?ssl-mode=disabled", proxy.port(), database.name());
    let store = open(&url).await;
    ok(store.append(&[event(0)]).await);
    for n in 1..=5 {
        let same = [event(n)];
        // The statement is prepared: the next answer is that of the insert.
        proxy.set(Mode::LoseAnswer);
        let error = store.append(&same).await.expect_err("its answer is lost");
        assert!(error.is_transient() && proxy.is(Mode::Pass), "{error}");
        assert_eq!(all(&*store).await.len() as u64, 2 * n, "it was committed all the same");
        append_at_last(&*store, &same).await;
        // A single new event leaves the statement prepared again.
        append_at_last(&*store, &[event(100 + n)]).await;
    }
    assert_eq!(all(&*store).await.len(), 11);
}
