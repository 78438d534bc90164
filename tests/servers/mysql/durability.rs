//! Settings of the server that lose acknowledged events: refused at the start, and once they change.

use tower_audit::store::{self, Durability, OpenOptions, StoreErrorKind};

use crate::mariadb::Server;
use crate::mysql::support::{event, ok, open, refusal, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loses_commits_is_refused_and_named() {
    for (argument, named) in [
        ("--innodb-flush-log-at-trx-commit=2", "innodb_flush_log_at_trx_commit is 2"),
        ("--innodb-doublewrite=OFF", "innodb_doublewrite is off"),
        ("--innodb-flush-method=nosync", "innodb_flush_method is nosync"),
    ] {
        let server = Server::start_with(&[argument]);
        let database = server.database();
        let error = refusal(&database.url()).await;
        assert_eq!(error.kind(), StoreErrorKind::NotDurable);
        assert!(error.to_string().contains(named), "{error}");
        // A warning, if told to: then it is written to, promises nothing, and is not healthy.
        let warned = ok(store::open(&database.url(), OpenOptions::new().durability(Durability::Warn)).await);
        assert!(!warned.capabilities().durable);
        ok(warned.append(&[event(1)]).await);
        let error = warned.health().await.expect_err("not durable");
        assert_eq!(error.kind(), StoreErrorKind::NotDurable);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_change_are_noticed() {
    let server = Server::start_with(&["--log-bin=binary", "--sync-binlog=1", "--binlog-format=ROW", "--server-id=1"]);
    let database = server.database();
    let store = open(&database.url()).await;
    ok(store.append(&[event(1)]).await);
    ok(store.health().await);
    for (change, back, named) in [
        ("SET GLOBAL sync_binlog = 0", "SET GLOBAL sync_binlog = 1", "sync_binlog=0"),
        (
            "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
            "innodb_flush_log_at_trx_commit is 0",
        ),
    ] {
        database.sql(change);
        let error = store.health().await.expect_err("not durable");
        assert_eq!(error.kind(), StoreErrorKind::NotDurable, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        database.sql(back);
        ok(store.health().await);
    }
    // A server that takes no writes is not healthy, and is again once it does.
    let account = "CREATE USER app; GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO app";
    database.sql(account);
    let app = open(&database.url_as("app")).await;
    ok(app.health().await);
    database.sql("SET GLOBAL read_only = 1");
    let error = app.health().await.expect_err("read-only");
    assert!(error.is_transient() && error.to_string().contains("read-only"), "{}", told(&error));
    let error = app.append(&[event(2)]).await.expect_err("read-only");
    assert!(error.is_transient(), "{}", told(&error));
    database.sql("SET GLOBAL read_only = 0");
    ok(app.health().await);
    ok(app.append(&[event(2)]).await);
}

#[tokio::test]
async fn another_engine_is_refused() {
    let database = Server::shared().database();
    let store = open(&database.url()).await;
    database.sql("ALTER TABLE audit_events_version ENGINE=MyISAM");
    let error = store.health().await.expect_err("not durable");
    assert_eq!(error.kind(), StoreErrorKind::NotDurable, "{error}");
    assert!(error.to_string().contains("MyISAM"), "{error}");
    let error = refusal(&database.url()).await;
    assert_eq!(error.kind(), StoreErrorKind::NotDurable, "{error}");
}

#[tokio::test]
async fn what_the_url_names_wrongly_is_said() {
    let database = Server::shared().database();
    let missing = database.url().replace(database.name(), "nowhere");
    let error = refusal(&missing).await;
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("no such database"), "{error}");
    database.sql("CREATE USER known IDENTIFIED BY 'right'");
    let error = refusal(&database.url_as("known:wrong-hunter2")).await;
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(!told(&error).contains("hunter2"), "{}", told(&error));
    database.sql("CREATE TABLE audit_events (n integer)");
    let error = refusal(&database.url()).await;
    assert!(error.to_string().contains("another application"), "{error}");
}
