//! Events in the app's own transactions, as far as PostgreSQL differs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::{Router, routing};
use sqlx::PgPool;
use tower::ServiceExt as _;
use tower_audit::policy::presets;
use tower_audit::store::OpenOptions;
use tower_audit::store::postgres::{PostgresStore, PostgresTable, create_roles};
use tower_audit::{AuditContext, AuditEvent, AuditLayer, AuditLog, EventType};

use crate::cluster::{Cluster, unique};
use crate::postgres::database::Backing;
use crate::postgres::proxy::{Mode, Proxy};
use crate::postgres::support::all;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_recorded_once() {
    let cluster = Cluster::shared();
    let backing = Backing::new().await;
    let log = backing.log().await;
    let proxy = Arc::new(Proxy::to(cluster.port()).await);
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), backing.database.name());
    let pool = PgPool::connect(&url).await.expect("the server lets us in");
    async fn handle(State((pool, proxy)): State<(PgPool, Arc<Proxy>)>, audit: AuditContext) -> StatusCode {
        let mut tx = pool.begin().await.expect("begun");
        sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.expect("an effect");
        audit.record_in(&mut tx).await.expect("an event");
        proxy.set(Mode::LoseAnswer);
        match tx.commit().await {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    let app = Router::new()
        .route("/auth/admin/users", routing::delete(handle))
        .layer(AuditLayer::new(&log, presets::ivre()))
        .with_state((pool, proxy.clone()));
    let request = Request::delete("/auth/admin/users").body(axum::body::Body::empty()).expect("a valid request");
    let answer = app.oneshot(request).await.expect("infallible");
    assert!(proxy.is(Mode::Pass), "an answer was lost");
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "the handler cannot know");
    assert_eq!(backing.effects().await, 1, "it was committed all the same");
    let events = all(&**log.store().expect("a store")).await;
    assert_eq!(events.len(), 2, "started and completed");
    assert_eq!(events[0].outcome, Some(200));
    assert_eq!(backing.open_started().await, 0);
    assert_eq!((log.stats().written, log.stats().status_mismatches), (1, 1));
}

/// As many transactions are open as the writer has appends under way: if it waited for them, nothing else would be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_written_while_transactions_are_open() {
    type Given = tokio::sync::mpsc::UnboundedSender<sqlx::PgTransaction<'static>>;
    async fn handle(State((pool, given)): State<(PgPool, Given)>, audit: AuditContext) {
        let mut tx = pool.begin().await.expect("begun");
        audit.record_in(&mut tx).await.expect("an event");
        given.send(tx).expect("it is taken");
    }
    let backing = Backing::new().await;
    let deadline = Duration::from_secs(2);
    let log = backing.builder().await.write_timeout(deadline).open().await.expect("the log opens");
    let (given, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new()
        .route("/scans", routing::post(handle))
        .layer(AuditLayer::new(&log, presets::ivre()))
        .with_state((backing.pool.clone(), given));
    let mut answers = tokio::task::JoinSet::new();
    let mut open = Vec::new();
    for _ in 0..log.store().expect("a store").capabilities().max_parallel_appends {
        let request = Request::post("/scans").body(axum::body::Body::empty()).expect("a valid request");
        answers.spawn(app.clone().oneshot(request));
        open.push(taken.recv().await.expect("the handler gives it away"));
    }
    let mut others = 0;
    // Until the layer has stopped waiting for all of them, and once more.
    let mut is_last = false;
    loop {
        let begun = std::time::Instant::now();
        log.record(AuditEvent::new(EventType::AUTH)).await.expect("written");
        assert!(begun.elapsed() < deadline / 2, "promptly: {:?}", begun.elapsed());
        others += 1;
        while let Some(answer) = answers.try_join_next() {
            assert_eq!(answer.expect("no panic").expect("infallible").status(), 500);
        }
        if is_last {
            break;
        }
        is_last = answers.is_empty();
    }
    let requests = open.len();
    for tx in open {
        tx.rollback().await.expect("rolled back");
    }
    log.close().await.expect("the log waits for them");
    assert_eq!(all(&**backing.log().await.store().expect("a store")).await.len(), others + requests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_is_durable_whatever_the_session_presets() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    for (preset, within) in [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")] {
        let mut connection = backing.pool.acquire().await.expect("a connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET synchronous_commit = {preset}; SET search_path = nowhere")))
            .execute(&mut *connection)
            .await
            .expect("set");
        let mut tx = sqlx::Connection::begin(&mut *connection).await.expect("begun");
        log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("recorded");
        let show = "SELECT pg_catalog.current_setting('synchronous_commit')";
        let now: String = sqlx::query_scalar(show).fetch_one(&mut *tx).await.expect("a setting");
        assert_eq!(now, within, "in the transaction");
        tx.commit().await.expect("committed");
        let after: String = sqlx::query_scalar(show).fetch_one(&mut *connection).await.expect("a setting");
        assert_eq!(after, preset, "the session is as it was");
        connection.close().await.expect("closed");
    }
    assert_eq!(all(&**log.store().expect("a store")).await.len(), 4);
}

#[tokio::test]
async fn what_the_transaction_may_not_is_said_before_it_fails() {
    let database = Cluster::shared().database();
    let log = AuditLog::open(&database.url()).await.expect("the log opens");
    create_roles(&database.url()).await.expect("roles are made");
    let role = unique("web");
    database
        .sql(&format!("CREATE ROLE {role} LOGIN; CREATE TABLE effects (n integer); GRANT INSERT ON effects TO {role}"));
    let pool = PgPool::connect(&database.url_as(&role)).await.expect("the server lets us in");
    let event = || AuditEvent::new(EventType::AUTH);
    let mut tx = pool.begin().await.expect("begun");
    let error = log.record_in(&mut tx, event()).await.expect_err("no right to");
    let cause = error.store_error().expect("a cause").to_string();
    let grant = format!("GRANT \"{}\" TO \"{role}\";", database.role("appender"));
    assert!(cause.contains(&grant), "{cause}");
    sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.expect("the transaction is as it was");
    tx.rollback().await.expect("rolled back");
    database.sql(&grant);
    let mut tx = pool.begin().await.expect("begun");
    log.record_in(&mut tx, event()).await.expect("the right that an appender has is enough");
    tx.commit().await.expect("committed");
    let mut tx = pool.begin_with("BEGIN READ ONLY").await.expect("begun");
    let error = log.record_in(&mut tx, event()).await.expect_err("read-only");
    assert!(error.store_error().expect("a cause").to_string().contains("read-only"), "{error:?}");
    drop(tx);
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await.expect("begun");
    log.record_in(&mut tx, event()).await.expect("recorded");
    tx.commit().await.expect("committed");
    assert_eq!(all(&**log.store().expect("a store")).await.len(), 2);
}

/// The location of the table is asked for again after a restart of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_and_after_init_the_database_is_still_the_same() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let log = AuditLog::open(&database.url()).await.expect("the log opens");
    let pool = PgPool::connect(&database.url()).await.expect("the server lets us in");
    let record = async || {
        let mut tx = pool.begin().await?;
        let recorded = log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await;
        if let Err(error) = recorded {
            assert!(
                error.store_error().is_some_and(|cause| !cause.to_string().contains("another database")),
                "{error:?}"
            );
            return Ok(false);
        }
        tx.commit().await.map(|()| true)
    };
    assert!(record().await.expect("committed"));
    cluster.crash();
    cluster.resume();
    crate::cluster::eventually("it is recorded again", async || record().await.unwrap_or(false)).await;
    let keeper = log.store().and_then(|store| store.parts().admin).expect("it is kept");
    crate::cluster::eventually("the tables are made anew", async || keeper.recreate().await.is_ok()).await;
    crate::cluster::eventually("it is recorded again", async || record().await.unwrap_or(false)).await;
    assert_eq!(all(&**log.store().expect("a store")).await.len(), 1);
}

#[tokio::test]
async fn the_log_connects_as_the_pool_does_and_takes_no_connection_of_it() {
    let backing = Backing::new().await;
    let options = backing.pool.connect_options().as_ref().clone().application_name("the app");
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("a pool");
    let _all_of_it = pool.acquire().await.expect("a connection");
    let store = PostgresStore::from_pool(&pool, &PostgresTable::default(), OpenOptions::default()).await;
    let log = AuditLog::builder().store(Arc::new(store.expect("it opens"))).open().await.expect("it opens");
    log.record(AuditEvent::new(EventType::AUTH)).await.expect("recorded");
    let named = "SELECT count(*) > 1 FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'the app'";
    assert_eq!(backing.database.sql(named), "t");
    assert_eq!(backing.database.sql("SELECT count(*) FROM public.audit_events"), "1");
}
