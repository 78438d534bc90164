//! The preset of IVRE: uploads, administration, queries over the limit.

use std::convert::Infallible;

use http::{Method, Request, StatusCode};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::{AuditLayer, AuditPolicy, Phase, ResultCount};

use crate::layer::support::{Body, answering, delete, memory_log, of_phase, post, request, response, text};

#[tokio::test(start_paused = true)]
async fn the_default_policy_records_what_it_says() {
    // No status says that an upload had no effect.
    for status in [200, 201, 303, 400, 403, 404, 413, 500, 503] {
        assert_eq!(recorded(post("/scans"), status).await, (0, 1), "upload with {status}");
    }
    for status in [200, 401, 403, 404, 500] {
        assert_eq!(recorded(delete("/auth/admin/users/bob"), status).await, (1, 1), "admin action with {status}");
        assert_eq!(recorded(request(Method::GET, "/auth/admin/users"), status).await, (0, 0));
    }
    assert_eq!(recorded(request(Method::GET, "/scans"), 200).await, (0, 0));
    let lower_case = Method::from_bytes(b"post").expect("a valid method");
    assert_eq!(recorded(request(lower_case, "//scans/"), 200).await, (0, 1));
}

/// Returns the numbers of `started` and `completed` events of a request that is answered with this status.
async fn recorded(request: Request<Body>, status: u16) -> (usize, usize) {
    let (log, store) = memory_log().await;
    let status = StatusCode::from_u16(status).expect("a valid status");
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(status));
    let answer = service.oneshot(request).await.expect("infallible");
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()["x-handler"], "1");
    assert_eq!(text(answer).await, "from the handler");
    let started = of_phase(&store, Phase::Started);
    let completed = of_phase(&store, Phase::Completed);
    for event in &completed {
        assert_eq!(event.outcome, Some(status.as_u16()));
        assert_eq!(event.request.started_event_id, started.first().map(|event| event.event_id));
        if let Some(started) = started.first() {
            assert_eq!(event.request.request_id, started.request.request_id);
        }
    }
    (started.len(), completed.len())
}

#[tokio::test(start_paused = true)]
async fn an_oversize_query_is_one_over_the_limit() {
    for (count, events) in [(0, 0), (999, 0), (1000, 0), (1001, 1), (u64::MAX, 1)] {
        let (log, store) = memory_log().await;
        let handler = tower::service_fn(move |_request: Request<Body>| async move {
            let mut response = response(StatusCode::OK);
            response.extensions_mut().insert(ResultCount(count));
            Ok::<_, Infallible>(response)
        });
        let policy = AuditPolicy::builder().preset_ivre().max_results(1000).build().expect("a valid policy");
        let service = AuditLayer::new(&log, policy).layer(handler);
        service.oneshot(request(Method::GET, "/scans")).await.expect("infallible");
        assert_eq!(store.events().len(), events, "{count} results");
        for event in store.events() {
            assert_eq!(event.event_type.as_str(), "oversize_query");
            assert_eq!(event.details["result_count"], count);
            assert_eq!(event.details["max_results"], 1000);
            assert_eq!(event.resource.method.as_deref(), Some("GET"));
        }
        // Off until a limit is set.
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        service.oneshot(request(Method::GET, "/scans")).await.expect("infallible");
        assert_eq!(store.events().len(), events);
    }
}
