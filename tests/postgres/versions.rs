//! What a database may already have under the name of the log.

use tower_audit::store::StoreErrorKind;

use crate::cluster::{Cluster, unique};
use crate::support::{all, at, close_orphans, event, ok, open, open_to_read, refusal};

#[tokio::test]
async fn the_tables_of_another_application_are_left_alone() {
    let database = Cluster::shared().database();
    database.sql("CREATE TABLE audit_events (id int); INSERT INTO audit_events VALUES (1)");
    let error = refusal(&database.url()).await;
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("another application"), "{error}");
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), "1");
    ok(open(&format!("{}?schema=mine", database.url())).await.append(&[event(1)]).await);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql("UPDATE audit_events_version SET version = 999");
    let error = refusal(&database.url()).await;
    assert!(error.to_string().contains("version 999"), "{error}");
    assert!(store.health().await.is_err());
    assert!(open_to_read(&database.url()).await.is_err());
}

#[tokio::test]
async fn tables_of_version_1_are_brought_up_to_date_by_their_owner() {
    let database = Cluster::shared().database();
    let mut made = include_str!("version_1.sql").to_owned();
    for role in ["appender", "reader", "purger"] {
        made = made.replace(&format!("audit_events_{role}"), &database.role(role));
    }
    database.sql(&made);
    let (appender, purger) = (unique("old_appender"), unique("old_purger"));
    database.sql(&format!("CREATE ROLE {appender} LOGIN IN ROLE {}", database.role("appender")));
    database.sql(&format!("CREATE ROLE {purger} LOGIN IN ROLE {}", database.role("purger")));
    let events = database.sql("SELECT event FROM audit_events ORDER BY created_at DESC");
    for error in [refusal(&database.url_as(&appender)).await, open_to_read(&database.url()).await.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains("let their owner run `tower-audit migrate`"), "{error}");
    }
    assert_eq!(database.sql("SELECT version FROM audit_events_version"), "1", "nobody else touches it");

    let owner = open(&database.url()).await;
    assert_eq!(database.sql("SELECT version FROM audit_events_version"), "2");
    let kept: Vec<_> = all(&*owner).await.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    assert_eq!(kept.join("\n"), events);
    assert_eq!(close_orphans(&*owner).await, 1, "what was open still is");
    // Its months as they were, and those to come.
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_events'::regclass";
    assert_eq!(database.sql(partitions), "7");

    // Its roles can do what is new, by themselves.
    database.sql(
        "DO $$ BEGIN EXECUTE 'DROP TABLE audit_events_' || to_char(now() + interval '3 months', 'YYYY_MM'); END $$",
    );
    let store = open(&database.url_as(&appender)).await;
    ok(store.append(&[event(1)]).await);
    assert_eq!(database.sql(partitions), "7");
    let purging = ok(open_to_read(&database.url_as(&purger)).await);
    let purged = ok(purging.keeper().expect("it is kept").purge(at("2026-07-01T00:00:00Z"), 1).await);
    assert_eq!(purged.removed, 2, "May, as a whole");
    assert_eq!(database.sql(partitions), "6");
    // Who updates again changes nothing.
    ok(open(&database.url()).await.keeper().expect("it is kept").ensure_indexes().await);
    assert_eq!(all(&*owner).await.len(), 2);
}

#[tokio::test]
async fn a_reader_makes_nothing() {
    let database = Cluster::shared().database();
    let error = open_to_read(&database.url()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("tower-audit migrate"), "{error}");
    assert_eq!(database.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'audit%'"), "0");
}

#[tokio::test]
async fn a_url_that_leads_nowhere_is_an_error_without_the_password() {
    for url in [
        "postgres://me:hunter2@127.0.0.1:1/db".to_owned(),
        format!("postgres://me:hunter2@127.0.0.1:{}/missing", Cluster::shared().port()),
        "postgres://me:hunter2@[::1/db".to_owned(),
    ] {
        let error = refusal(&url).await;
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
