//! Pass-through of the layer: readiness, backpressure, errors of readiness.

use std::future::poll_fn;

use futures_util::future::poll_immediate;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer as _, Service as _};
use tower_audit::policy::presets;
use tower_audit::{AuditLayer, Phase};
use tower_test::mock;

use crate::layer::support::{Body, delete, memory_log, of_phase, request, response};

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service() {
    let (log, _store) = memory_log().await;
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut service = AuditLayer::new(&log, presets::ivre()).layer(inner);
    handle.allow(0);
    assert!(poll_immediate(poll_fn(|cx| service.poll_ready(cx))).await.is_none());
    handle.allow(1);
    assert!(poll_immediate(poll_fn(|cx| service.poll_ready(cx))).await.is_some_and(|ready| ready.is_ok()));
    handle.send_error(std::io::Error::other("broken"));
    // The permit that was given stays; the next one is the error.
    drop(service.call(request(Method::GET, "/")));
    let ready = poll_immediate(poll_fn(|cx| service.poll_ready(cx))).await;
    assert!(ready.is_some_and(|ready| ready.is_err()));
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    // A mock panics when it is called without having been made ready, and a clone of it has not been.
    for request in [request(Method::GET, "/"), request(Method::POST, "/scans"), delete("/auth/admin/users/bob")] {
        let (log, store) = memory_log().await;
        let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
        handle.allow(1);
        let mut service = AuditLayer::new(&log, presets::ivre()).layer(inner);
        poll_fn(|cx| service.poll_ready(cx)).await.expect("ready");
        let is_admin = request.method() == Method::DELETE;
        let answer = tokio::spawn(service.call(request));
        let (_, respond) = handle.next_request().await.expect("the handler is called");
        // A write-ahead rule: durable before the handler is called.
        assert_eq!(of_phase(&store, Phase::Started).len(), usize::from(is_admin));
        respond.send_response(response(StatusCode::OK));
        assert_eq!(answer.await.expect("no panic").expect("no error").status(), StatusCode::OK);
    }
}
