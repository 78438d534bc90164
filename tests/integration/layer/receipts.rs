//! Receipts: a recorded response names a durable event.

use std::sync::Arc;

use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{
    AUDIT_RECEIPT, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, FailMode, Phase, RecordWhen, Rule,
};

use crate::layer::scripted_store::Scripted;
use crate::layer::support::{Body, answering, memory_log, post, response};

fn rule() -> Rule {
    Rule::new(EventType::new("a.b").expect("a valid type")).when(RecordWhen::success()).paths(["/x"])
}

fn policy(rule: Rule) -> AuditPolicy {
    AuditPolicy::builder().rule(rule).build().expect("a valid policy")
}

/// The event that the receipt names, among these.
fn named<B>(response: &http::Response<B>, events: &[AuditEvent]) -> Option<Phase> {
    let id = response.headers().get(AUDIT_RECEIPT)?.to_str().expect("text");
    let event = events.iter().find(|event| event.event_id.to_string() == id);
    Some(event.expect("a receipt names an event that is in the store by the time it arrives").phase)
}

#[tokio::test]
async fn a_receipt_names_an_event_that_is_in_the_store() {
    for (rule, phase) in [
        (rule(), Phase::Completed),
        (rule().write_ahead(true), Phase::Completed),
        (rule().body_end(true), Phase::Started),
    ] {
        let (log, store) = memory_log().await;
        let layer = AuditLayer::new(&log, policy(rule)).receipts(true);
        let answer = layer.layer(answering(StatusCode::OK)).oneshot(post("/x")).await.expect("infallible");
        assert_eq!(named(&answer, &store.events()), Some(phase));
        drop(answer.into_body().collect().await.expect("a body"));
        log.close().await.expect("nothing is left");
    }
}

#[tokio::test]
async fn what_is_not_recorded_or_not_asked_for_has_no_receipt() {
    for (receipts, path, status) in
        [(false, "/x", StatusCode::OK), (true, "/other", StatusCode::OK), (true, "/x", StatusCode::NOT_FOUND)]
    {
        let (log, _) = memory_log().await;
        let layer = AuditLayer::new(&log, policy(rule())).receipts(receipts);
        let answer = layer.layer(answering(status)).oneshot(post(path)).await.expect("infallible");
        assert_eq!((answer.status(), answer.headers().get(AUDIT_RECEIPT)), (status, None), "{path}");
    }
}

/// By a rule that fails open. The handler passes on what it got from a service that gives receipts, too.
#[tokio::test(start_paused = true)]
async fn a_response_that_leaves_without_its_event_has_no_receipt() {
    for rule in [rule(), rule().write_ahead(true), rule().body_end(true)] {
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let log = AuditLog::builder().store(Arc::clone(&store)).open().await.expect("it opens");
        store.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
        let layer = AuditLayer::new(&log, policy(rule.fail_mode(FailMode::Open))).receipts(true);
        let proxy = tower::service_fn(|_request: Request<Body>| async {
            let mut answer = response(StatusCode::OK);
            answer.headers_mut().insert(AUDIT_RECEIPT, HeaderValue::from_static("of-another-service"));
            Ok::<_, std::convert::Infallible>(answer)
        });
        let answer = layer.layer(proxy).oneshot(post("/x")).await.expect("infallible");
        assert_eq!((answer.status(), answer.headers().get(AUDIT_RECEIPT)), (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn of_several_logs_the_outermost_that_gives_receipts_counts() {
    let ((outer, outer_store), (inner, inner_store)) = (memory_log().await, memory_log().await);
    for (is_outer, is_inner) in [(true, true), (true, false), (false, true)] {
        let handler = tower::service_fn(|_request: Request<Body>| async {
            Ok::<_, std::convert::Infallible>(response(StatusCode::CREATED))
        });
        let service = AuditLayer::new(&inner, policy(rule())).receipts(is_inner).layer(handler);
        let service = AuditLayer::new(&outer, policy(rule())).receipts(is_outer).layer(service);
        let answer = service.oneshot(post("/x")).await.expect("infallible");
        let events = if is_outer { outer_store.events() } else { inner_store.events() };
        assert_eq!(named(&answer, &events), Some(Phase::Completed), "{is_outer} {is_inner}");
    }
}

#[tokio::test]
async fn a_layer_for_a_route_gives_the_receipts_of_the_layer_around_it() {
    for (is_outer, is_inner) in [(true, false), (false, true), (false, false)] {
        let (log, store) = memory_log().await;
        let route = AuditLayer::for_route(&log, rule()).expect("a valid rule").receipts(is_inner);
        let around = AuditLayer::new(&log, AuditPolicy::mutations()).receipts(is_outer);
        let service = around.layer(route.layer(answering(StatusCode::OK)));
        let answer = service.oneshot(post("/x")).await.expect("infallible");
        let expected = (is_outer || is_inner).then_some(Phase::Completed);
        assert_eq!(named(&answer, &store.events()), expected, "{is_outer} {is_inner}");
    }
}

/// Nobody could look its events up.
#[tokio::test]
async fn a_sink_gives_no_receipts() {
    let (log, store) = Scripted::log().await;
    let layer = AuditLayer::new(&log, policy(rule())).receipts(true);
    let answer = layer.layer(answering(StatusCode::OK)).oneshot(post("/x")).await.expect("infallible");
    assert_eq!((answer.headers().get(AUDIT_RECEIPT), store.kept.events().len()), (None, 1));
}
