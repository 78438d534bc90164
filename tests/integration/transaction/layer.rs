//! Events in transactions, under layers that are nested and rules that let events go.

use std::time::Duration;

use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::{Router, routing};
use sqlx::SqlitePool;
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use tower_audit::policy::presets;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::writer::Delivery;
use tower_audit::{AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, FailMode, Phase};

use crate::transaction::database::Backing;

async fn events(log: &AuditLog) -> Vec<AuditEvent> {
    let reader = log.store().and_then(|store| store.parts().reader).expect("the store is read");
    reader.query(&PageQuery::new(Filter::default(), 100)).await.expect("it is read")
}

fn delete() -> Request<axum::body::Body> {
    Request::delete("/auth/admin/users").body(axum::body::Body::empty()).expect("a valid request")
}

/// Two layers of one log around one handler, whose transaction is committed or rolled back: one event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_layers_record_it_once() {
    async fn handle(State((pool, commits)): State<(SqlitePool, bool)>, audit: AuditContext) -> StatusCode {
        let mut tx = pool.begin().await.expect("begun");
        sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.expect("an effect");
        audit.expect_status(StatusCode::NO_CONTENT).record_in(&mut tx).await.expect("recorded");
        if commits {
            tx.commit().await.expect("committed");
            return StatusCode::NO_CONTENT;
        }
        tx.rollback().await.expect("rolled back");
        StatusCode::CONFLICT
    }
    for (commits, status) in [(true, 204), (false, 409)] {
        let backing = Backing::new().await;
        let log = backing.log().await;
        let layer = || AuditLayer::new(&log, presets::ivre());
        let app = Router::new()
            .route("/auth/admin/users", routing::delete(handle).layer(layer()))
            .layer(layer())
            .with_state((backing.pool.clone(), commits));
        assert_eq!(app.oneshot(delete()).await.expect("infallible").status(), status);
        log.close().await.expect("the log closes");
        let events = events(&backing.log().await).await;
        let told: Vec<_> = events.iter().map(|event| (event.phase, event.outcome)).collect();
        assert_eq!(told, [(Phase::Completed, Some(status)), (Phase::Started, None)]);
        assert_eq!((backing.effects().await, backing.open_started().await), (i64::from(commits), 0));
        assert_eq!((log.stats().written, log.stats().status_mismatches), (1 + u64::from(!commits), 0));
    }
}

/// The inner layer only limits results, and the handler names a type: the event is the one in the transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_within_that_only_limits_results_records_no_second_event() {
    async fn handle(State((pool, commits)): State<(SqlitePool, bool)>) -> StatusCode {
        let audit = AuditContext::current().expect("a layer is around");
        audit.event_type(EventType::new("scan.stored").expect("a valid type"));
        let mut tx = pool.begin().await.expect("begun");
        audit.record_in(&mut tx).await.expect("recorded");
        if commits {
            tx.commit().await.expect("committed");
            return StatusCode::OK;
        }
        tx.rollback().await.expect("rolled back");
        StatusCode::CONFLICT
    }
    for (commits, status) in [(true, 200), (false, 409)] {
        let backing = Backing::new().await;
        let log = backing.log().await;
        let limit = AuditPolicy::builder().rule(presets::oversize_query()).max_results(10).build().expect("valid");
        let app = Router::new()
            .route("/scans", routing::post(handle))
            .layer(AuditLayer::new(&log, limit))
            .layer(AuditLayer::new(&log, presets::ivre()))
            .with_state((backing.pool.clone(), commits));
        let request = Request::post("/scans").body(axum::body::Body::empty()).expect("a valid request");
        assert_eq!(app.oneshot(request).await.expect("infallible").status(), status);
        log.close().await.expect("the log closes");
        let events = events(&backing.log().await).await;
        let told: Vec<_> = events.iter().map(|event| (event.event_type.as_str(), event.outcome)).collect();
        assert_eq!(told, [("scan.stored", Some(status))]);
    }
}

/// A rule that lets events go lets the response leave at the deadline, and the event comes when the transaction is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_lets_go_does_not_let_go_of_the_transaction() {
    type Given = mpsc::UnboundedSender<sqlx::SqliteTransaction<'static>>;
    async fn handle(State((pool, given)): State<(SqlitePool, Given)>, audit: AuditContext) -> StatusCode {
        let mut tx = pool.begin().await.expect("begun");
        audit.expect_status(StatusCode::NO_CONTENT).record_in(&mut tx).await.expect("recorded");
        given.send(tx).expect("it is taken");
        StatusCode::NO_CONTENT
    }
    let rule = presets::ivre::admin_action().fail_mode(FailMode::Open);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let backing = Backing::new().await;
    let deadline = Duration::from_millis(400);
    let log =
        backing.builder_with_timeout(deadline / 2).await.write_timeout(deadline).open().await.expect("the log opens");
    let (given, mut taken) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/auth/admin/users", routing::delete(handle))
        .layer(AuditLayer::new(&log, policy))
        .with_state((backing.pool.clone(), given));
    assert_eq!(app.oneshot(delete()).await.expect("infallible").status(), 204, "it leaves");
    assert_eq!(log.stats().unrecorded, 1);
    log.flush().await.expect("everything is settled");
    assert_eq!(events(&log).await.iter().filter(|event| event.phase == Phase::Completed).count(), 0);
    taken.recv().await.expect("the handler gave it away").rollback().await.expect("rolled back");
    log.close().await.expect("the log waits for it");
    let events = events(&backing.log().await).await;
    let ends: Vec<_> = events.iter().filter(|event| event.phase == Phase::Completed).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].outcome, Some(204));
    assert_eq!(backing.open_started().await, 0);
}

/// The event waits for the end of the body, the end of the body for the event, and the event for the transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_end_in_time_leaves_its_event_to_the_log() {
    type Given = mpsc::UnboundedSender<sqlx::SqliteTransaction<'static>>;
    async fn handle(State((pool, given)): State<(SqlitePool, Given)>, audit: AuditContext) -> &'static str {
        let mut tx = pool.begin().await.expect("begun");
        audit.record_in(&mut tx).await.expect("recorded");
        given.send(tx).expect("it is taken");
        "done"
    }
    let rule = presets::ivre::admin_action().body_end(true);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let backing = Backing::new().await;
    let deadline = Duration::from_millis(400);
    let log =
        backing.builder_with_timeout(deadline / 2).await.write_timeout(deadline).open().await.expect("the log opens");
    let (given, mut taken) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/auth/admin/users", routing::delete(handle))
        .layer(AuditLayer::new(&log, policy))
        .with_state((backing.pool.clone(), given));
    let answer = app.oneshot(delete()).await.expect("infallible");
    axum::body::to_bytes(answer.into_body(), 100).await.expect_err("it is cut short");
    log.flush().await.expect("everything is settled");
    taken.recv().await.expect("the handler gave it away").rollback().await.expect("rolled back");
    log.close().await.expect("the log waits for it");
    let events = events(&backing.log().await).await;
    let ends: Vec<_> = events.iter().filter(|event| event.phase == Phase::Completed).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].details["body_end"], "complete");
    assert_eq!(backing.open_started().await, 0);
}

/// An event in a transaction is delivered once the log has seen the commit, as the store has it; after a rollback the log's
/// own is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_gets_what_was_committed() {
    async fn handle(State((pool, commits)): State<(SqlitePool, bool)>, audit: AuditContext) -> StatusCode {
        let mut tx = pool.begin().await.expect("begun");
        audit.expect_status(StatusCode::NO_CONTENT).record_in(&mut tx).await.expect("recorded");
        if commits {
            tx.commit().await.expect("committed")
        } else {
            tx.rollback().await.expect("rolled back")
        }
        StatusCode::CONFLICT
    }
    for (commits, outcome) in [(true, 204), (false, 409)] {
        let backing = Backing::new().await;
        let log = backing.log().await;
        let mut feed = log.subscribe();
        let app = Router::new()
            .route("/auth/admin/users", routing::delete(handle).layer(AuditLayer::new(&log, presets::ivre())))
            .with_state((backing.pool.clone(), commits));
        assert_eq!(app.oneshot(delete()).await.expect("infallible").status(), 409);
        let mut told = Vec::new();
        for _ in 0..2 {
            let Some(Delivery::Event(event)) = feed.recv().await else { panic!("two events were expected") };
            told.push((event.phase, event.outcome));
        }
        assert_eq!(told, [(Phase::Started, None), (Phase::Completed, Some(outcome))]);
        log.close().await.expect("the log closes");
        assert_eq!(feed.recv().await, None);
    }
}
