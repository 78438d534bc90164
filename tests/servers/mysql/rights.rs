//! The roles of `examples/mysql_roles.sql`: each may do its part and nothing else.

use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::StoreErrorKind;
use tower_audit::{AuditEvent, EventType};

use crate::mariadb::{Database, Server, unique};
use crate::mysql::support::{all, at, close_orphans, end_of, event, ok, open, open_to_read, started, told};

/// A log with its roles.
async fn with_roles() -> Database<'static> {
    let database = Server::shared().database();
    let owner = open(&database.url()).await;
    ok(owner.append(&[event(1)]).await);
    database.sql(include_str!("../../../examples/mysql_roles.sql"));
    database
}

/// A new account that has this role.
fn account_of(database: &Database<'_>, role: &str) -> String {
    let account = unique("account");
    database.sql(&format!("CREATE USER {account}; GRANT {role} TO {account}; SET DEFAULT ROLE {role} FOR {account}"));
    account
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appender_appends_and_can_neither_read_nor_change_events() {
    let database = with_roles().await;
    let account = account_of(&database, "audit_appender");
    let store = open(&database.url_as(&account)).await;
    let begun = started(2);
    ok(store.append(std::slice::from_ref(&begun)).await);
    ok(store.append(&[end_of(&begun), begun.clone(), event(3)]).await);
    ok(store.health().await);
    assert_eq!(close_orphans(&*store).await, 0);
    let reader = store.parts().reader.expect("a reader");
    let error = reader.check_access().await.expect_err("not its right");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{}", told(&error));
    assert!(error.to_string().contains("mysql_roles.sql"), "{error}");
    let error = reader.query(&PageQuery::new(Filter::default(), 10)).await.expect_err("not its right");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{}", told(&error));
    reader.count(&Filter::default()).await.expect_err("not even a count");
    let admin = store.parts().admin.expect("an admin part");
    let error = admin.purge(at("2100-01-01T00:00:00Z"), 10).await.expect_err("not its right");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{}", told(&error));
    admin.recreate().await.expect_err("not its right");
    for forbidden in [
        "UPDATE audit_events SET outcome = 1",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DROP TABLE audit_events",
        "ALTER TABLE audit_events DROP PARTITION p_before",
        "SELECT event FROM audit_events",
        "UPDATE audit_events_version SET version = 2",
    ] {
        let refused = database.sql_as(&account, forbidden).expect_err(forbidden);
        assert!(refused.contains("denied"), "{forbidden}: {refused}");
    }
    let found = ok(store.diagnose().await);
    let account = found.iter().find(|diagnostic| diagnostic.subject == "account").expect("it is told");
    assert!(account.message.contains("neither change events"), "{}", account.message);
    assert_eq!(all(&*open(&database.url()).await).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_reads_and_writes_nothing() {
    let database = with_roles().await;
    let account = account_of(&database, "audit_reader");
    let store = ok(open_to_read(&database.url_as(&account)).await);
    assert_eq!(all(&*store).await.len(), 1);
    ok(store.parts().reader.expect("a reader").check_access().await);
    let error = store.append(&[event(2)]).await.expect_err("not its right");
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{}", told(&error));
    for forbidden in ["INSERT INTO audit_events (event_id) VALUES ('x')", "DELETE FROM audit_events"] {
        database.sql_as(&account, forbidden).expect_err(forbidden);
    }
    assert!(ok(store.diagnose().await).iter().all(|found| found.severity != tower_audit::store::Severity::Error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purger_deletes_by_time_and_records_it() {
    let database = with_roles().await;
    let account = account_of(&database, "audit_purger");
    let store = open(&database.url_as(&account)).await;
    let admin = store.parts().admin.expect("an admin part");
    let purged = ok(admin.purge(at("2100-01-01T00:00:00Z"), 10).await);
    assert_eq!(purged.deleted, 1);
    ok(store.append(&[AuditEvent::new(EventType::ADMIN_ACTION)]).await);
    for forbidden in
        ["SELECT event FROM audit_events", "UPDATE audit_events SET outcome = 1", "DROP TABLE audit_events"]
    {
        database.sql_as(&account, forbidden).expect_err(forbidden);
    }
}
