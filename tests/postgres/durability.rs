//! A server on which a commit would not last is refused, when the log is opened and by its health.

use tower_audit::store::{AuditStore, StoreErrorKind};

use crate::cluster::{Cluster, eventually};
use crate::support::{all, event, ok, open, open_to_read, refusal};

/// The health is bad for a reason with this word in it, as soon as the server has read its configuration.
async fn becomes_ill(store: &dyn AuditStore, word: &str) {
    eventually(word, async || match store.health().await {
        Ok(()) => false,
        Err(error) => error.to_string().contains(word),
    })
    .await;
}

async fn becomes_healthy(store: &dyn AuditStore) {
    eventually("healthy", async || store.health().await.is_ok()).await;
}

#[tokio::test]
async fn asynchronous_commits_are_refused() {
    let database = Cluster::shared().database();
    let name = database.name();
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let error = refusal(&database.url()).await;
    assert!(error.to_string().contains("synchronous_commit is off"), "{error}");
    let asked = refusal(&format!("{}?options=-c%20synchronous_commit%3Doff", database.url())).await;
    assert!(asked.to_string().contains("synchronous_commit is off"), "{asked}");
    let store = open(&format!("{}?options=-c%20synchronous_commit%3Don", database.url())).await;
    ok(store.append(&[event(1)]).await);
    // Weaker than `on` only where there are replicas: the session gets `on`.
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = local"));
    ok(open(&database.url()).await.health().await);
}

#[tokio::test]
async fn what_changes_while_the_log_is_open_is_noticed() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = open(&database.url()).await;
    ok(store.append(&[event(1)]).await);
    for (setting, word) in [("fsync", "fsync=off"), ("synchronous_commit", "synchronous_commit is off")] {
        cluster.sql("postgres", &format!("ALTER SYSTEM SET {setting} = off"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
        becomes_ill(&*store, word).await;
        assert!(refusal(&database.url()).await.to_string().contains(word));
        cluster.sql("postgres", &format!("ALTER SYSTEM RESET {setting}"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
        becomes_healthy(&*store).await;
    }
    // No commit of another is done while the replica is missing: nothing is tried before the settings were judged.
    cluster.sql("postgres", "ALTER SYSTEM SET synchronous_commit = local");
    cluster.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'missing'");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    becomes_ill(&*store, "replicas are required").await;
    assert!(refusal(&database.url()).await.to_string().contains("replicas are required"));
}

#[tokio::test]
async fn a_standby_is_for_readers() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (store, first) = (open(&database.url()).await, event(1));
    ok(store.append(std::slice::from_ref(&first)).await);
    cluster.stop();
    cluster.make_standby();
    cluster.resume();
    let error = refusal(&database.url()).await;
    assert!(error.to_string().contains("standby"), "{error}");
    let error = store.append(&[event(2)]).await.unwrap_err();
    assert!(error.is_transient(), "the primary may come back: {error}");
    eventually("the standby is named", async || {
        store.health().await.is_err_and(|error| format!("{error} {error:?}").contains("standby"))
    })
    .await;
    let reading = ok(open_to_read(&database.url()).await);
    assert_eq!(all(&*reading).await, [first]);
    assert!(reading.health().await.is_err());
}

#[tokio::test]
async fn tables_that_a_crash_empties_are_refused() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql("ALTER TABLE audit_events_default SET UNLOGGED");
    becomes_ill(&*store, "UNLOGGED").await;
    assert!(refusal(&database.url()).await.to_string().contains("UNLOGGED"));
}

#[tokio::test]
async fn encodings_without_every_letter_are_refused() {
    let cluster = Cluster::shared();
    cluster.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    let error = refusal(&cluster.url("latin")).await;
    assert!(error.to_string().contains("LATIN1"), "{error}");
    assert_eq!(error.kind(), StoreErrorKind::Permanent);
}
