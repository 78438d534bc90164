//! A role that can append, and nothing else.

use tower_audit::store::StoreErrorKind;

use crate::cluster::{Cluster, unique};
use crate::support::{all, close_orphans, end_of, event, ok, open, refusal, started};

#[tokio::test]
async fn without_rights_it_says_which_command_to_run() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let role = unique("nobody");
    cluster.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
    let error = refusal(&database.url_as(&role)).await;
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("tower-audit ensure-indexes"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appender_appends_and_nothing_else() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let owner = open(&database.url()).await;
    let role = unique("appender");
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; \
         GRANT INSERT, SELECT (event_id) ON audit_events TO {role}; \
         GRANT USAGE ON SEQUENCE seq_audit_events_id TO {role}; \
         GRANT SELECT, INSERT, DELETE ON audit_events_open TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON audit_events_instances TO {role}; \
         GRANT SELECT, INSERT, UPDATE ON audit_events_probe TO {role}; \
         GRANT SELECT ON audit_events_version TO {role}"
    ));
    let store = open(&database.url_as(&role)).await;
    let (first, second) = (started(1), started(2));
    ok(store.append(&[event(0), first.clone()]).await);
    ok(store.append(&[end_of(&first), second]).await);
    ok(store.append(&[event(0)]).await);
    ok(store.health().await);
    assert_eq!(store.tidy().await.ok(), Some(false));
    ok(store.close().await);
    let again = open(&database.url_as(&role)).await;
    assert_eq!(close_orphans(&*again).await, 1);
    assert_eq!(all(&*owner).await.len(), 6);
    for sql in [
        "UPDATE audit_events SET outcome = 1",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DELETE FROM audit_events_default",
        "UPDATE audit_events_default SET outcome = 1",
        "DROP TABLE audit_events_default",
        "ALTER TABLE audit_events DETACH PARTITION audit_events_default",
        "SELECT event FROM audit_events",
        "UPDATE audit_events_open SET event = ''",
        "UPDATE audit_events_version SET version = 9",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "SELECT setval('seq_audit_events_id', 1)",
    ] {
        let said = database.refusal_as(&role, sql);
        assert!(said.contains("permission denied") || said.contains("must be owner"), "{sql}: {said}");
    }
    assert_eq!(all(&*owner).await.len(), 6);
    let reader = again.reader().expect("the store is read");
    assert_eq!(reader.get(first.event_id).await.unwrap_err().kind(), StoreErrorKind::Permanent);
}
