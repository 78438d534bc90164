//! Particularities of SQLite.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteSynchronous};
use tower_audit::query::Filter;
use tower_audit::{AuditEvent, AuditLog, EventType};

use crate::transaction::database::Backing;

#[tokio::test]
async fn a_connection_whose_commit_would_not_be_durable_is_refused() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let options = SqliteConnectOptions::new().filename(backing.path()).synchronous(SqliteSynchronous::Normal);
    let weak = SqlitePool::connect_with(options).await.expect("the file opens");
    let mut tx = weak.begin().await.expect("begun");
    let error = log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect_err("not durable");
    let cause = error.store_error().expect("a cause").to_string();
    assert!(cause.contains("synchronous=1") && cause.contains("SqliteSynchronous::Full"), "{cause}");
}

/// Only the worker's own appends trigger maintenance; here it has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_does_not_grow_without_end() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let mut ids = Vec::new();
    // Maintenance runs in the background, and retries when it did not get the lock in time.
    while ids.len() < 4_000 || backing.count("SELECT sum(events_n) FROM audit_journal").await >= 3_000 {
        let mut tx = backing.pool.begin().await.expect("begun");
        for _ in 0..40 {
            ids.push(log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("recorded"));
        }
        tx.commit().await.expect("committed");
    }
    assert!(backing.count("SELECT coalesce(sum(events_n), 0) FROM audit_segments").await > 1_000);
    let reader = log.store().and_then(|store| store.parts().reader).expect("it is read");
    assert_eq!(reader.count(&Filter::default()).await.expect("counted"), ids.len() as u64);
    // A repeated event is recognised in a segment, too.
    let mut again = AuditEvent::new(EventType::AUTH);
    again.event_id = ids[0];
    let mut tx = backing.pool.begin().await.expect("begun");
    log.record_in(&mut tx, again.clone()).await.expect("no error");
    tx.commit().await.expect("committed");
    log.record(again).await.expect("no error");
    assert_eq!(reader.count(&Filter::default()).await.expect("counted"), ids.len() as u64);
}

/// Commits of the app and appends of the worker take turns, and neither loses events of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writer_and_the_app_write_the_same_journal() {
    let backing = Arc::new(Backing::new().await);
    let log = backing.log().await;
    let appends = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..200 {
                log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("recorded");
            }
        }
    });
    for _ in 0..200 {
        let mut tx = backing.pool.begin().await.expect("begun");
        log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("in the transaction");
        tx.commit().await.expect("committed");
    }
    appends.await.expect("no panic");
    let opened = AuditLog::open(&format!("sqlite:{}", backing.path().display())).await.expect("by its name, too");
    let reader = opened.store().and_then(|store| store.parts().reader).expect("it is read");
    assert_eq!(reader.count(&Filter::default()).await.expect("counted"), 400);
}
