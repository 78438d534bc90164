//! Assertions about a log in memory, as an app's own tests use them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use tower::ServiceExt as _;
use tower_audit::testing::{MemoryLog, assert_nothing_recorded, assert_recorded};
use tower_audit::{Actor, AuditContext, AuditLayer, AuditPolicy, EventType, Phase, Rule};

async fn upload(audit: AuditContext) -> StatusCode {
    audit.actor(Actor::user("alice")).target("scan", 7);
    StatusCode::CREATED
}

fn app(log: &MemoryLog) -> Router {
    let rule = Rule::new(EventType::UPLOAD).methods(["POST"]).paths(["/scans"]).write_ahead(true);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    Router::new()
        .route("/scans", post(upload))
        .route("/health", get(|| async {}))
        .layer(AuditLayer::new(log.log(), policy))
}

#[tokio::test]
async fn an_app_asserts_what_was_recorded() {
    let log = MemoryLog::open().await;
    let health = Request::get("/health").body(Body::empty()).expect("a request");
    assert_eq!(app(&log).oneshot(health).await.expect("an answer").status(), 200);
    assert_nothing_recorded(&log);

    let scan = Request::post("/scans").body(Body::empty()).expect("a request");
    assert_eq!(app(&log).oneshot(scan).await.expect("an answer").status(), 201);
    let started = assert_recorded(&log).phase(Phase::Started).by_nobody().once();
    let completed = assert_recorded(&log)
        .event_type("upload")
        .by("alice")
        .outcome(201)
        .route("/scans")
        .method("POST")
        .target("scan/7")
        .once();
    assert_eq!(completed.request.started_event_id, Some(started.event_id));
    assert_recorded(&log).event_type("upload").times(2);

    assert!(failure(&|| drop(assert_recorded(&log).target("scan/8"))).contains("target \"scan/8\""));
    let text = failure(&|| drop(assert_recorded(&log).event_type("upload").once()));
    assert!(
        text.contains("2 match (a rule with write-ahead records `started` as well: add `.phase(Phase::Completed)`)"),
        "{text}"
    );
}

fn failure(assertion: &dyn Fn()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("it fails");
    *panic.downcast::<String>().expect("a text")
}

#[tokio::test]
async fn a_failed_assertion_names_the_conditions_and_lists_the_events() {
    let log = MemoryLog::open().await;
    let text = failure(&|| drop(assert_recorded(&log)));
    assert_eq!(text, "expected an event; nothing was recorded");

    log.log().record(tower_audit::AuditEvent::new(EventType::AUTH)).await.expect("it is recorded");
    let text = failure(&|| drop(assert_recorded(&log).event_type("auth").by("bob")));
    assert!(text.starts_with(r#"expected an event with event type "auth", actor "bob"; recorded were 1:"#), "{text}");
    assert!(text.contains(r#""event_type":"auth""#), "{text}");
    let text = failure(&|| drop(assert_recorded(&log).event_type("auth").times(2)));
    assert!(text.starts_with(r#"expected 2 events with event type "auth", and 1 match"#), "{text}");
    let text = failure(&|| assert_nothing_recorded(&log));
    assert!(text.starts_with("expected no recorded event; recorded were 1:"), "{text}");
}
