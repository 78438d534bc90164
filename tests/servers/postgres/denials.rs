//! Denials say which right is missing and which command grants it, and `doctor` takes none of them for intended.

use std::process::Command;

use tower_audit::query::{Buckets, Field, Filter, PageQuery};
use tower_audit::store::postgres::create_roles;
use tower_audit::store::{Severity, StoreErrorKind};
use tower_audit::{Actor, EventId, Timestamp};

use crate::cluster::{Cluster, Database};
use crate::postgres::support::{event, ok, open, open_to_read};

/// The exit code and the output of `doctor` for this URL.
fn doctor(url: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tower-audit"))
        .args(["doctor", "--url", url])
        .output()
        .expect("the program starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The log of a new database, and the names of its roles.
async fn log_with_roles(database: &Database<'_>) -> Vec<String> {
    ok(open(&database.url()).await.append(&[event(1)]).await);
    ok(create_roles(&database.url()).await)
}

/// An account that appends and reads, as `docs/stores/postgres.md` sets it up.
fn account_of_both(database: &Database<'_>, roles: &[String]) -> String {
    let account = database.account_of(&roles[0]);
    database.sql(&format!("GRANT \"{}\" TO {account}", roles[1]));
    account
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_role_that_lost_a_privilege_is_told_to_run_migrate_roles() {
    let database = Cluster::shared().database();
    let roles = log_with_roles(&database).await;
    let account = account_of_both(&database, &roles);
    let url = database.url_as(&account);
    let store = open(&url).await;
    for privilege in [
        "INSERT ON audit_events",
        "SELECT (event_id) ON audit_events",
        "USAGE ON SEQUENCE seq_audit_events_id",
        "DELETE ON audit_events_started",
        "INSERT ON audit_events_writers",
    ] {
        ok(store.health().await);
        assert_eq!(doctor(&url).0, Some(0), "{privilege}: {}", doctor(&url).1);
        database.sql(&format!("REVOKE {privilege} FROM \"{}\"", roles[0]));
        // The reader's privilege on the whole table includes this one.
        let is_lost = !privilege.starts_with("SELECT");
        let (code, text) = doctor(&url);
        assert_eq!(code == Some(0), !is_lost, "{privilege}: {text}");
        if is_lost {
            // The writer that a health check has registered needs no further row.
            let error = open(&url).await.health().await.expect_err(privilege);
            assert_eq!(error.kind(), StoreErrorKind::Permanent, "{privilege}: {error}");
            let told = error.to_string();
            assert!(
                told.contains("run `tower-audit migrate --roles`") && !told.contains("GRANT"),
                "{privilege}: {told}"
            );
            assert!(text.contains("run `tower-audit migrate --roles`") && !text.contains("for readers"), "{text}");
        }
        ok(create_roles(&database.url()).await);
    }
    ok(store.append(&[event(2)]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_lost_its_privilege_is_told_as_much() {
    let database = Cluster::shared().database();
    let roles = log_with_roles(&database).await;
    let url = database.url_as(&account_of_both(&database, &roles));
    let store = open(&url).await;
    database.sql(&format!("REVOKE SELECT ON audit_events FROM \"{}\"", roles[1]));
    let error = store.parts().reader.expect("the store is read").check_access().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Permanent);
    assert!(error.to_string().contains("run `tower-audit migrate --roles`"), "{error}");
    let (code, text) = doctor(&url);
    assert_ne!(code, Some(0), "{text}");
    ok(create_roles(&database.url()).await);
    ok(store.parts().reader.expect("the store is read").check_access().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_for_one_thing_is_well() {
    let database = Cluster::shared().database();
    let roles = log_with_roles(&database).await;
    for role in &roles[..2] {
        let (code, text) = doctor(&database.url_as(&database.account_of(role)));
        assert_eq!(code, Some(0), "{role}: {text}");
    }
    // Privileges of its own, and not all of them.
    let account = database.account_of(&roles[1]);
    database.sql(&format!("GRANT INSERT ON audit_events TO {account}"));
    let (code, text) = doctor(&database.url_as(&account));
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("GRANT") && text.contains(&roles[0]) && text.contains("USAGE on SEQUENCE"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_that_inherits_nothing_is_named_with_the_statement_that_mends_it() {
    let database = Cluster::shared().database();
    let roles = log_with_roles(&database).await;
    let account = database.account_of(&roles[1]);
    database.sql(&format!("ALTER ROLE {account} NOINHERIT; GRANT \"{}\" TO {account}", roles[1]));
    // Before PostgreSQL 16 the account decides, from then on the membership.
    let is_before_16 = database.sql("SELECT current_setting('server_version_num')::int < 160000") == "t";
    if !is_before_16 {
        database.sql(&format!("GRANT \"{}\" TO {account} WITH INHERIT FALSE", roles[1]));
    }
    let Err(error) = open_to_read(&database.url_as(&account)).await else { panic!("the store is opened") };
    let text = error.to_string();
    let statement = text.split('`').nth(1).expect("a statement");
    assert!(statement.contains("INHERIT"), "{text}");
    database.sql(statement);
    ok(open_to_read(&database.url_as(&account))
        .await
        .expect("it may")
        .parts()
        .reader
        .expect("it reads")
        .check_access()
        .await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_security_hides_no_event_silently_and_is_named_with_the_statement_that_disables_it() {
    let database = Cluster::shared().database();
    let roles = log_with_roles(&database).await;
    let url = database.url_as(&account_of_both(&database, &roles));
    let purger = database.url_as(&database.account_of(&roles[2]));
    let (store, purger) = (open(&url).await, ok(open_to_read(&purger).await));
    let reader = store.parts().reader.expect("the store is read");
    database.sql("ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY");
    let (filter, buckets) = (Filter::default(), Buckets::new(Timestamp::from_micros(0).expect("1970"), 1_000_000, 1));
    let errors = [
        reader.count(&filter).await.unwrap_err(),
        reader.query(&PageQuery::new(filter.clone(), 1)).await.unwrap_err(),
        reader.top_values(&filter, Field::UserEmail, 1).await.unwrap_err(),
        reader.histogram(&filter, &buckets.expect("a bucket")).await.unwrap_err(),
        reader.get(EventId::new()).await.unwrap_err(),
        reader.check_access().await.unwrap_err(),
        store.health().await.unwrap_err(),
        store.append(&[event(2)]).await.unwrap_err(),
        purger.parts().admin.expect("it purges").purge(Timestamp::MAX, 1).await.unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert_eq!(error.kind(), StoreErrorKind::Permanent, "{text}");
        assert!(text.contains("`ALTER TABLE public.audit_events DISABLE ROW LEVEL SECURITY;`"), "{text}");
        assert!(!text.contains("GRANT"), "{text}");
    }
    let (code, text) = doctor(&url);
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("DISABLE ROW LEVEL SECURITY"), "{text}");
    let findings = ok(store.diagnose().await);
    assert!(
        findings.iter().any(|finding| finding.severity == Severity::Error && finding.message.contains("row security"))
    );
    database.sql("ALTER TABLE public.audit_events DISABLE ROW LEVEL SECURITY;");
    assert_eq!(ok(reader.count(&filter).await), 1);
    let mut event = event(3);
    event.actor = Actor::user("alice@example.org");
    ok(store.append(&[event]).await);
    ok(store.health().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_without_the_right_to_read_ends_at_its_start() {
    let database = Cluster::shared().database();
    let roles = log_with_roles(&database).await;
    let url = database.url_as(&database.account_of(&roles[0]));
    let mut serve = tokio::process::Command::new(env!("CARGO_BIN_EXE_tower-audit"));
    serve.args(["serve", "--url", &url]).kill_on_drop(true);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), serve.output()).await;
    let output = ended.expect("it does not serve").expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("right") && output.stdout.is_empty(), "{told}");
}
