//! Databases that already have tables with the log's names.

use tower_audit::store::StoreErrorKind;

use crate::cluster::Cluster;
use crate::postgres::support::{event, ok, open, open_to_read, refusal};

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
