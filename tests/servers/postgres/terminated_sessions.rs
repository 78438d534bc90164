//! A busy log writes through several sessions at once, and they fail one by one.

use std::collections::HashSet;
use std::time::Duration;

use tower_audit::AuditLog;

use crate::cluster::{Cluster, eventually};
use crate::postgres::support::{all, end_of, event, ok, open, open_with_timeout, started};

const TASKS: u64 = 128;
const EACH: u64 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_lose_nothing_and_nothing_is_kept_twice() {
    const WRITERS: &str = "datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'INSERT%'";
    let database = Cluster::shared().database();
    // Nothing here is about deadlines: the machine may be busy.
    let log =
        AuditLog::builder().url(&database.url()).write_timeout(Duration::from_secs(60)).open().await.expect("it opens");
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut recorded = Vec::new();
                for n in 0..EACH {
                    recorded.push(log.record(event(task * EACH + n)).await.expect("tried again until it is kept"));
                }
                recorded
            })
        })
        .collect();
    let mut most = 0;
    for round in 1..=5 {
        let share = TASKS * EACH * round / 6;
        eventually("the log writes", async || log.stats().written >= share).await;
        let ended =
            database.sql(&format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {WRITERS}"));
        most = most.max(ended.parse::<u64>().expect("a number"));
    }
    let mut recorded = HashSet::new();
    for task in tasks {
        recorded.extend(task.await.expect("a task only records"));
    }
    log.close().await.expect("it closes");
    assert!(most > 1, "one session wrote it all");
    let kept: Vec<_> = all(&*open(&database.url()).await).await.iter().map(|event| event.event_id).collect();
    assert_eq!(kept.len() as u64, TASKS * EACH);
    assert_eq!(kept.into_iter().collect::<HashSet<_>>(), recorded);
}

/// The session that closing leases was ended after its last use, and nothing has told the log.
#[tokio::test]
async fn a_log_closes_although_its_sessions_were_just_ended() {
    let database = Cluster::shared().database();
    for _ in 0..3 {
        let begun = started(1);
        let store = open_with_timeout(&database.url(), Duration::from_secs(60)).await;
        ok(store.append(std::slice::from_ref(&begun)).await);
        ok(store.append(&[end_of(&begun)]).await);
        let ended = database.sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        assert!(ended.parse::<u64>().expect("a number") > 1, "{ended}");
        ok(store.close().await);
        assert_eq!(database.sql("SELECT count(*) FROM audit_events_writers"), "0");
    }
}
