//! Events in the app's own transactions, as far as MariaDB differs.

use std::time::Duration;

use sqlx::MySqlPool;
use tower_audit::{AuditEvent, AuditLog, EventType};

use crate::mariadb::Server;
use crate::mysql::database::Backing;
use crate::mysql::support::all;

fn event() -> AuditEvent {
    AuditEvent::new(EventType::AUTH)
}

/// The database of the app's tables does not matter: a transaction holds both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_in_another_database_of_the_server_is_kept_with_its_event() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let elsewhere = Server::shared().database();
    elsewhere.sql("CREATE TABLE effects (n integer)");
    let pool = MySqlPool::connect(&elsewhere.url()).await.expect("the server lets us in");
    let mut tx = pool.begin().await.expect("begun");
    sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.expect("an effect");
    log.record_in(&mut tx, event()).await.expect("an event");
    tx.rollback().await.expect("rolled back");
    let mut tx = pool.begin().await.expect("begun");
    sqlx::query("INSERT INTO effects VALUES (2)").execute(&mut *tx).await.expect("an effect");
    log.record_in(&mut tx, event()).await.expect("an event");
    tx.commit().await.expect("committed");
    assert_eq!(elsewhere.sql("SELECT n FROM effects"), "2");
    assert_eq!(all(&**log.store().expect("a store")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_may_not_or_is_elsewhere_is_refused_and_goes_on() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let other = Server::start();
    let database = other.database();
    database.sql("CREATE TABLE effects (n integer)");
    let pool = MySqlPool::connect(&database.url()).await.expect("the server lets us in");
    let mut tx = pool.begin().await.expect("begun");
    let error = log.record_in(&mut tx, event()).await.expect_err("another server");
    assert!(error.to_string().contains("another database"), "{error}");
    sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.expect("it goes on");
    tx.commit().await.expect("committed");
    let mut tx = backing.pool.begin_with("START TRANSACTION READ ONLY").await.expect("begun");
    let error = log.record_in(&mut tx, event()).await.expect_err("read-only");
    assert!(error.store_error().expect("a cause").to_string().contains("read-only"), "{error:?}");
    drop(tx);
    let mut latin = backing.pool.acquire().await.expect("a connection");
    sqlx::query("SET NAMES latin1").execute(&mut *latin).await.expect("set");
    let mut tx = sqlx::Connection::begin(&mut *latin).await.expect("begun");
    let error = log.record_in(&mut tx, event()).await.expect_err("no place for every text");
    assert!(error.store_error().expect("a cause").to_string().contains("latin1"), "{error:?}");
    drop(tx);
    latin.close().await.expect("closed");
    assert_eq!(all(&**log.store().expect("a store")).await.len(), 0);
}

/// As many transactions are open as the writer has appends under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_written_while_transactions_are_open() {
    let backing = Backing::new().await;
    let deadline = Duration::from_secs(2);
    let log: AuditLog = backing.builder().await.write_timeout(deadline).open().await.expect("the log opens");
    let mut open = Vec::new();
    for _ in 0..log.store().expect("a store").capabilities().max_parallel_appends {
        let mut tx = backing.pool.begin().await.expect("begun");
        log.record_in(&mut tx, event()).await.expect("an event");
        open.push(tx);
    }
    for _ in 0..20 {
        let begun = std::time::Instant::now();
        log.record(event()).await.expect("written");
        assert!(begun.elapsed() < deadline / 2, "promptly: {:?}", begun.elapsed());
    }
    for tx in open {
        tx.commit().await.expect("committed");
    }
    assert_eq!(all(&**log.store().expect("a store")).await.len(), 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_would_not_be_durable_is_refused_before_it() {
    let server: &'static Server = Box::leak(Box::new(Server::start()));
    let backing = Backing::on(server).await;
    let log = backing.log().await;
    backing.database.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    let mut tx = backing.pool.begin().await.expect("begun");
    let error = log.record_in(&mut tx, event()).await.expect_err("not durable");
    let cause = error.store_error().expect("a cause").to_string();
    assert!(cause.contains("innodb_flush_log_at_trx_commit"), "{cause}");
    drop(tx);
    backing.database.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    let mut tx = backing.pool.begin().await.expect("begun");
    log.record_in(&mut tx, event()).await.expect("recorded");
    tx.commit().await.expect("committed");
    server.crash();
    server.resume();
    assert_eq!(backing.database.sql("SELECT COUNT(*) FROM `audit ``log```"), "1");
}
