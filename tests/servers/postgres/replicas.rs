//! A diagnosis names the copies of the server that lag or are away.

use tower_audit::store::postgres::create_roles;
use tower_audit::store::{AuditStore, Diagnostic, Severity};

use crate::cluster::{Cluster, eventually};
use crate::postgres::session_monitor::Stopped;
use crate::postgres::support::{ok, open, open_to_read};

async fn found(store: &dyn AuditStore) -> Vec<Diagnostic> {
    ok(store.diagnose().await).into_iter().filter(|found| found.subject == "replicas").collect()
}

async fn has(store: &dyn AuditStore, severity: Severity, text: &str) {
    eventually(text, async || {
        found(store).await.iter().any(|found| found.severity == severity && found.message.contains(text))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_lag_or_are_away_are_named() {
    let primary = Cluster::start();
    let database = primary.database();
    let store = open(&database.url()).await;
    assert_eq!(found(&*store).await, []);
    database.sql("SELECT pg_create_physical_replication_slot('of_a_replica', true)");
    has(&*store, Severity::Warning, "nobody uses the slot \"of_a_replica\"").await;
    database.sql("SELECT pg_drop_replication_slot('of_a_replica')");

    let replica = primary.start_standby();
    has(&*store, Severity::Ok, "1 connected, at most ").await;
    ok(create_roles(&database.url()).await);
    let reader = database.url_as(&database.account_of(&database.role("reader")));
    has(&*ok(open_to_read(&reader).await), Severity::Ok, "1 connected; how far they are behind is shown to ").await;

    let stopped = Stopped::processes(vec![replica.sql("postgres", "SELECT pid FROM pg_stat_wal_receiver")]);
    database.sql("SELECT pg_logical_emit_message(true, 'a test', repeat('x', 20 * 1024 * 1024))");
    has(&*store, Severity::Warning, "behind the primary: \"replica\" by 2").await;
    drop(stopped);
    has(&*store, Severity::Ok, "1 connected, at most ").await;

    drop(replica);
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'replica'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    has(&*store, Severity::Error, "none is connected").await;
}
