//! Live and dead writers, when sessions end and servers restart.

use crate::cluster::{Cluster, eventually};
use crate::postgres::support::{all, append_at_last, close_orphans, end_of, ok, open, started};

const END_ALL_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_the_session_is_not_dead() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let open_event = started(1);
    ok(store.append(std::slice::from_ref(&open_event)).await);
    database.sql(END_ALL_SESSIONS);
    let other = open(&database.url()).await;
    assert_eq!(close_orphans(&*other).await, 0, "the writer lives");
    append_at_last(&*store, &[end_of(&open_event)]).await;
    append_at_last(&*store, &[started(2)]).await;
    assert_eq!(close_orphans(&*other).await, 0, "the writer lives");
    assert_eq!(all(&*other).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_outlives_the_server_is_not_dead() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = open(&database.url()).await;
    let open_event = started(1);
    ok(store.append(std::slice::from_ref(&open_event)).await);
    cluster.crash();
    cluster.resume();
    let other = open(&database.url()).await;
    assert_eq!(close_orphans(&*other).await, 0, "the writer lives");
    append_at_last(&*store, &[end_of(&open_event)]).await;
    assert_eq!(all(&*other).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_taken_for_dead_goes_on_under_another_number() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let first = started(1);
    ok(store.append(std::slice::from_ref(&first)).await);
    let number = database.sql("SELECT id FROM audit_events_writers");
    database.sql("DELETE FROM audit_events_started; DELETE FROM audit_events_writers");
    let second = started(2);
    append_at_last(&*store, std::slice::from_ref(&second)).await;
    assert_ne!(database.sql("SELECT id FROM audit_events_writers"), number);
    let other = open(&database.url()).await;
    assert_eq!(close_orphans(&*other).await, 0, "the writer lives");
    ok(store.close().await);
    assert_eq!(close_orphans(&*other).await, 1, "the writer has left its second event");
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_writers"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_start_opens_nothing_again() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let first = started(1);
    ok(store.append(std::slice::from_ref(&first)).await);
    ok(store.append(&[end_of(&first)]).await);
    ok(store.append(std::slice::from_ref(&first)).await);
    let second = started(2);
    ok(store.append(&[second.clone(), end_of(&second)]).await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_started"), "0");
    ok(store.close().await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_writers"), "0", "it left nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_held_by_a_session_of_its_own() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND \
        database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.sql(locks), "0", "who starts nothing needs no lock");
    ok(store.append(&[started(1)]).await);
    assert_eq!(database.sql(locks), "1");
    drop(store);
    eventually("the lock goes with the writer", async || database.sql(locks) == "0").await;
}
