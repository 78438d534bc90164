//! A role that can append, and nothing else.

use tower_audit::Timestamp;
use tower_audit::store::StoreErrorKind;
use tower_audit::store::postgres::make_roles;

use crate::cluster::{Cluster, unique};
use crate::support::{all, at, close_orphans, end_of, event, ok, open, open_to_read, refusal, started};

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
    let made = ok(make_roles(&database.url()).await);
    assert_eq!(made, ["audit_events_appender", "audit_events_reader", "audit_events_purger"]);
    assert_eq!(ok(make_roles(&database.url()).await), made, "as often as one likes");
    database.sql(&format!("CREATE ROLE {role} LOGIN IN ROLE audit_events_appender"));
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

#[tokio::test]
async fn a_reader_reads_and_nothing_else() {
    let database = Cluster::shared().database();
    let url = format!("{}?table=readable", database.url());
    let (owner, kept) = (open(&url).await, event(1));
    ok(owner.append(std::slice::from_ref(&kept)).await);
    ok(make_roles(&url).await);
    let role = unique("reader");
    database.sql(&format!("CREATE ROLE {role} LOGIN IN ROLE readable_reader"));
    let store = ok(open_to_read(&format!("{}?table=readable", database.url_as(&role))).await);
    assert_eq!(all(&*store).await, [kept]);
    assert!(store.append(&[event(2)]).await.is_err());
    assert!(store.health().await.is_err());
    for sql in ["DELETE FROM readable", "INSERT INTO readable DEFAULT VALUES", "SELECT FROM readable_open"] {
        assert!(database.refusal_as(&role, sql).contains("permission denied"), "{sql}");
    }
}

#[tokio::test]
async fn a_purger_removes_what_is_old_and_reads_nothing() {
    let database = Cluster::shared().database();
    let url = format!("{}?table=purgeable", database.url());
    let owner = open(&url).await;
    let (mut old, new) = (event(1), event(2));
    old.created_at = at("2020-01-01T00:00:00Z");
    ok(owner.append(&[old, new.clone()]).await);
    ok(make_roles(&url).await);
    let role = unique("purger");
    database.sql(&format!("CREATE ROLE {role} LOGIN IN ROLE purgeable_purger"));
    let store = ok(open_to_read(&format!("{}?table=purgeable", database.url_as(&role))).await);
    let keeper = store.keeper().expect("it is kept");
    let purged = ok(keeper.purge(at("2021-01-01T00:00:00Z"), 10).await);
    assert_eq!((purged.removed, purged.more), (1, false));
    // A month of which all is old could be dropped by the owner; this role goes by the event.
    let purged = ok(keeper.purge(Timestamp::MAX, 10).await);
    assert_eq!((purged.removed, purged.more), (1, false));
    let record = event(3);
    ok(store.append(std::slice::from_ref(&record)).await);
    assert_eq!(all(&*owner).await, [record]);
    for sql in ["SELECT event FROM purgeable", "UPDATE purgeable SET outcome = 1", "TRUNCATE purgeable"] {
        assert!(database.refusal_as(&role, sql).contains("permission denied"), "{sql}");
    }
}
