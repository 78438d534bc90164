//! Sessions that nobody has used for a while, and few of them.

use std::time::{Duration, Instant};

use tower_audit::AuditLog;
use tower_audit::query::Filter;
use tower_audit::store::{self, OpenOptions};

use crate::cluster::{Cluster, eventually, unique};
use crate::postgres::proxy::Proxy;
use crate::postgres::session_monitor::SessionCount;
use crate::postgres::support::{close_orphans, event, ok, open, open_with_timeout, started};

const TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_a_firewall_forgot_cost_no_request_its_deadline() {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::to(cluster.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), database.name());
    let store = open_with_timeout(&url, TIMEOUT).await;
    ok(store.append(&[event(0), started(0)]).await);
    ok(store.health().await);
    // A busy moment: as many sessions as there can be.
    let held = database.hold("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE");
    let appends: Vec<_> = (1..=4)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.append(&[event(n)]).await })
        })
        .collect();
    eventually("all of them wait", async || database.sql(WAITING) == "4").await;
    drop(held);
    for append in appends {
        ok(append.await.expect("an append does not panic"));
    }
    assert_eq!(ok(store.parts().reader.expect("it is read").count(&Filter::default()).await), 6);
    let session_count = SessionCount::of(&database).await;
    // Nothing is said for longer than a session is trusted unasked.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    proxy.forget();
    for n in 10..18 {
        let begun = Instant::now();
        ok(store.append(&[event(n)]).await);
        assert!(begun.elapsed() < TIMEOUT * 2 / 3, "{:?}", begun.elapsed());
    }
    assert_eq!(ok(store.parts().reader.expect("it is read").count(&Filter::default()).await), 14);
    eventually("the writer's lock is taken again", async || store.append(&[started(20)]).await.is_ok()).await;
    ok(store.health().await);
    session_count.assert_bounded();
    assert_eq!(close_orphans(&*open(&database.url()).await).await, 0, "the writer lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_few_connections_works_or_is_told() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let role = unique("few");
    let name = database.name();
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; ALTER DATABASE {name} OWNER TO {role}; CREATE SCHEMA few AUTHORIZATION {role}"
    ));
    let url = format!("{}?schema=few", database.url_as(&role));
    // The tables are there, so that nothing else is in the way.
    ok(open(&url).await.close().await);
    let mut works = false;
    for limit in 1..=4 {
        eventually("the sessions before have ended", async || {
            database.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'")) == "0"
        })
        .await;
        database.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT {limit}"));
        match AuditLog::builder().url(&url).open().await {
            Ok(log) => {
                works = true;
                log.record(event(limit)).await.expect("an event");
                log.record(started(limit)).await.expect("a write-ahead event");
                log.health().await.expect("it is well");
                log.close().await.expect("it closes");
            }
            Err(error) => {
                assert!(!works, "fewer were enough");
                assert!(format!("{error:?}").contains("CONNECTION LIMIT"), "{error:?}");
            }
        }
    }
    assert!(works, "four are not enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_seed_are_two_writers() {
    let database = Cluster::shared().database();
    let (one, two) = (open(&database.url()).await, open(&database.url()).await);
    for store in [&one, &two] {
        fastrand::seed(7);
        let first = started(1);
        ok(store.append(&[first]).await);
    }
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_writers"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_does_not_wait_for_ever_for_whoever_changes_the_tables() {
    let database = Cluster::shared().database();
    ok(open(&database.url()).await.close().await);
    let held = database.hold("LOCK TABLE audit_events, audit_events_version IN ACCESS EXCLUSIVE MODE");
    let mut options = OpenOptions::default();
    options.timeout = Duration::from_millis(500);
    let begun = Instant::now();
    let error = match store::open(&database.url(), options).await {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    };
    assert!(error.is_transient(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(held);
    ok(open(&database.url()).await.append(&[event(1)]).await);
}

/// The advisory lock of those who make the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_does_not_wait_for_ever_for_whoever_makes_the_tables() {
    let database = Cluster::shared().database();
    let key = b"tower-audit\0public\0audit_events"
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let held = database.hold(&format!("SELECT pg_advisory_xact_lock({})", key.cast_signed()));
    let mut options = OpenOptions::default();
    options.timeout = Duration::from_millis(500);
    let error = match store::open(&database.url(), options).await {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    };
    assert!(error.is_transient() && error.to_string().contains("holds a lock"), "{error}");
    drop(held);
    ok(open(&database.url()).await.append(&[event(1)]).await);
}
