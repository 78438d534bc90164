//! A server that hangs, a table that is locked, a transaction that is left open: each wait ends, and no session is left over.

use std::time::{Duration, Instant};

use crate::mariadb::{Server, eventually};
use crate::mysql::support::{all, append_at_last, event, ok, open_with_timeout};

const TIMEOUT: Duration = Duration::from_millis(800);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_costs_the_timeout_and_no_more_sessions() {
    let server = Server::start();
    let database = server.database();
    let store = open_with_timeout(&database.url(), TIMEOUT).await;
    ok(store.append(&[event(0)]).await);
    server.pause();
    for n in 1..12 {
        let begun = Instant::now();
        let error = store.append(&[event(n)]).await.expect_err("the server is stopped");
        assert!(error.is_transient(), "{error}");
        assert!(begun.elapsed() < TIMEOUT + Duration::from_millis(400), "{:?}", begun.elapsed());
    }
    let error = store.health().await.expect_err("the server is stopped");
    assert!(error.is_transient(), "{error}");
    server.unpause();
    let back = Instant::now();
    append_at_last(&*store, &[event(99)]).await;
    assert!(back.elapsed() < Duration::from_secs(5), "service after {:?}", back.elapsed());
    assert!(sessions(&database) <= 12, "{}", sessions(&database));
    assert!(all(&*store).await.len() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_locked_is_waited_for_in_bounds_and_named() {
    let database = Server::shared().database();
    let store = open_with_timeout(&database.url(), Duration::from_secs(2)).await;
    ok(store.append(&[event(0)]).await);
    let held = database.hold("LOCK TABLES audit_events WRITE");
    for n in 1..6 {
        let begun = Instant::now();
        let error = store.append(&[event(n)]).await.expect_err("the table is locked");
        assert!(error.is_transient() && error.to_string().contains("lock"), "{error}");
        assert!(begun.elapsed() < Duration::from_millis(2400), "{:?}", begun.elapsed());
        assert!(sessions(&database) <= 13, "{}", sessions(&database));
    }
    let error = store.health().await.expect_err("the table is locked");
    assert!(error.is_transient(), "{error}");
    drop(held);
    append_at_last(&*store, &[event(9)]).await;
    eventually("it is healthy again", async || store.health().await.is_ok()).await;
}

/// A reader that is given up is cancelled; its session is ended and its place is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_given_up_leaves_the_server() {
    let database = Server::shared().database();
    let store = open_with_timeout(&database.url(), TIMEOUT).await;
    ok(store.append(&[event(0)]).await);
    let held = database.hold("LOCK TABLES audit_events WRITE");
    let reader = store.parts().reader.expect("it is read");
    for _ in 0..6 {
        let filter = tower_audit::query::Filter::default();
        let asked = tokio::time::timeout(Duration::from_millis(300), reader.count(&filter)).await;
        assert!(asked.is_err() || asked.is_ok_and(|asked| asked.is_err()), "the table is locked");
    }
    drop(held);
    eventually("a reader is served", async || {
        let filter = tower_audit::query::Filter::default();
        reader.count(&filter).await.is_ok_and(|count| count == 1)
    })
    .await;
    assert!(sessions(&database) <= 12, "{}", sessions(&database));
}

/// An event that an app's open transaction holds keeps an append of the same event waiting, for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_an_open_transaction_is_decided_by_it() {
    let database = Server::shared().database();
    let store = open_with_timeout(&database.url(), Duration::from_secs(2)).await;
    let same = event(1);
    let id = same.event_id.to_hex();
    let insert = format!(
        "BEGIN; INSERT INTO audit_events (event_id, event_type, created_at) VALUES (X'{}', 'upload', NOW())",
        id.as_str()
    );
    let held = database.hold(&insert);
    let error = store.append(std::slice::from_ref(&same)).await.expect_err("it is not decided");
    assert!(error.is_transient(), "{error}");
    drop(held);
    append_at_last(&*store, std::slice::from_ref(&same)).await;
    assert_eq!(all(&*store).await, [same]);
}

/// The sessions of the log's database.
fn sessions(database: &crate::mariadb::Database<'_>) -> usize {
    let sql = format!("SELECT COUNT(*) - 1 FROM information_schema.PROCESSLIST WHERE DB = '{}'", database.name());
    database.sql(&sql).parse().expect("a number")
}
