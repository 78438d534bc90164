//! Layers of two logs around each other: each log has every event exactly once, and no effect lacks its trace.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::MemoryStore;
use tower_audit::store::conformance::FaultyStore;
use tower_audit::{
    Actor, AuditContext, AuditLayer, AuditLog, AuditPolicy, ErrorCode, EventType, Phase, RecordWhen, ResultCount, Rule,
};

use crate::layer::support::{Body, memory_log, of_phase, post, request, response};

fn own(name: &str) -> Rule {
    Rule::new(EventType::new(name).expect("a valid type")).when(RecordWhen::always())
}

fn preset(log: &AuditLog) -> AuditLayer {
    let policy = AuditPolicy::builder().preset_ivre().max_results(1000).build().expect("valid");
    AuditLayer::new(log, policy)
}

/// A handler that says what it can, through the context that it finds.
fn saying(
    declares: Option<EventType>,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send {
    tower::service_fn(move |_request: Request<Body>| {
        let declares = declares.clone();
        async move {
            let context = AuditContext::current().expect("a layer is around");
            context.actor(Actor::user("alice")).detail("n", 7).classify("a", "b").error(ErrorCode::BAD_SESSION);
            context.route("/template");
            if let Some(declared) = declares {
                context.event_type(declared);
            }
            let mut response = response(StatusCode::OK);
            response.extensions_mut().insert(ResultCount(5000));
            Ok(response)
        }
    })
}

/// The types of the completed events of a log, all of which say what the handler said.
fn types(store: &MemoryStore) -> Vec<String> {
    let completed = of_phase(store, Phase::Completed);
    for event in &completed {
        assert_eq!(event.actor.user_email.as_deref(), Some("alice"), "{event:?}");
        assert_eq!((&event.details["n"], event.resource.route.as_deref()), (&7.into(), Some("/template")), "{event:?}");
        assert_eq!(event.classification.error, Some(ErrorCode::BAD_SESSION), "{event:?}");
        assert_eq!(event.classification.domain.as_deref(), Some("a"), "{event:?}");
        assert!(event.resource.method.is_some() && event.request.request_uri.is_some(), "{event:?}");
    }
    completed.iter().map(|event| event.event_type.as_str().to_owned()).collect()
}

const REQUESTS: [(Method, &str, &str); 3] = [
    (Method::POST, "/scans", "upload"),
    (Method::DELETE, "/auth/admin/users/bob", "admin_action"),
    (Method::GET, "/list", "oversize_query"),
];

#[tokio::test(start_paused = true)]
async fn each_of_two_logs_has_each_event_once() {
    for (method, path, expected) in REQUESTS {
        let ((a, in_a), (b, in_b)) = (memory_log().await, memory_log().await);
        let service = preset(&a).layer(preset(&b).layer(saying(None)));
        service.oneshot(request(method, path)).await.expect("infallible");
        assert_eq!((types(&in_a), types(&in_b)), (vec![expected.to_owned()], vec![expected.to_owned()]), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_the_first_log_within_that_of_the_second_is_found() {
    for (method, path, expected) in REQUESTS {
        let ((a, in_a), (b, in_b)) = (memory_log().await, memory_log().await);
        let route = AuditLayer::for_route(&a, own("scan.imported")).expect("a valid rule");
        let service = preset(&a).layer(preset(&b).layer(route.layer(saying(None))));
        service.oneshot(request(method, path)).await.expect("infallible");
        let both = (types(&in_a), types(&in_b));
        assert_eq!(both, (vec!["scan.imported".to_owned()], vec![expected.to_owned()]), "{path}");
        assert_eq!(in_a.events().len(), in_b.events().len(), "started events too");
    }
}

#[tokio::test(start_paused = true)]
async fn a_declared_type_is_recorded_in_both() {
    let declared = EventType::new("thing.done").expect("a valid type");
    for (method, path) in [(Method::POST, "/scans"), (Method::GET, "/elsewhere")] {
        for names in [(true, true), (true, false), (false, true)] {
            let ((a, in_a), (b, in_b)) = (memory_log().await, memory_log().await);
            let layer = |log, names| {
                if names {
                    AuditLayer::new(log, presets::ivre())
                } else {
                    AuditLayer::new(log, AuditPolicy::builder().build().expect("valid"))
                }
            };
            let service = layer(&a, names.0).layer(layer(&b, names.1).layer(saying(Some(declared.clone()))));
            service.oneshot(request(method.clone(), path)).await.expect("infallible");
            let expected = vec![declared.as_str().to_owned()];
            assert_eq!((types(&in_a), types(&in_b)), (expected.clone(), expected), "{path} {names:?}");
        }
    }
}

/// A detail that is added between two layers is in the events of both.
#[tokio::test(start_paused = true)]
async fn what_is_said_between_two_layers_is_in_both() {
    let ((a, in_a), (b, in_b)) = (memory_log().await, memory_log().await);
    let inner = preset(&b).layer(saying(None));
    let between = tower::service_fn(move |request: Request<Body>| {
        AuditContext::current().expect("a layer is around").detail("between", 1);
        inner.clone().oneshot(request)
    });
    preset(&a).layer(between).oneshot(post("/scans")).await.expect("infallible");
    for store in [in_a, in_b] {
        assert_eq!(types(&store), ["upload"]);
        assert_eq!(store.events()[0].details["between"], 1);
    }
}

/// A timeout between two layers of two logs: the inner one is let go.
#[tokio::test(start_paused = true)]
async fn a_declared_type_survives_a_timeout_between_two_logs() {
    for through_extensions in [false, true] {
        let ((a, in_a), (b, in_b)) = (memory_log().await, memory_log().await);
        let handler = tower::service_fn(move |request: Request<Body>| async move {
            let sent = request.extensions().get::<AuditContext>().filter(|_| through_extensions).cloned();
            sent.or_else(AuditContext::current).expect("a layer is around").event_type(EventType::AUTH);
            std::future::pending::<Result<Response<Body>, Infallible>>().await
        });
        let limit = std::time::Duration::from_secs(1);
        let timeout = tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit);
        // No rule of the second log names the request.
        let watching = AuditLayer::new(&b, AuditPolicy::builder().build().expect("valid"));
        let service = preset(&a).layer(timeout.layer(watching.layer(handler)));
        service.oneshot(request(Method::POST, "/scans")).await.expect("infallible");
        for log in [&a, &b] {
            log.close().await.expect("nothing is left");
        }
        let ends = [&in_a, &in_b].map(|store| {
            let ends = of_phase(store, Phase::Completed);
            ends.into_iter().map(|end| (end.event_type, end.outcome)).collect::<Vec<_>>()
        });
        let expected = [vec![(EventType::AUTH, Some(504))], vec![(EventType::AUTH, None)]];
        assert_eq!(ends, expected, "through extensions: {through_extensions}");
    }
}

/// The layer of the second log holds the answer of a timeout up, until the handler that the timeout has given up is at its
/// end: no answer is made of that end, and the first log has both. A task of its own is not dropped by the timeout.
#[tokio::test(start_paused = true)]
async fn an_answer_that_another_log_holds_up_is_not_the_end_of_the_handler() {
    for has_a_task in [false, true] {
        let (log, store) = memory_log().await;
        let slow = FaultyStore::new(Arc::new(MemoryStore::new()));
        let other = AuditLog::builder().store(Arc::new(slow.clone())).open().await.expect("it opens");
        let handler = tower::service_fn(|_request: Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok::<_, Infallible>(response(StatusCode::OK))
        });
        let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule").layer(handler);
        let inner = tower::service_fn(move |request| {
            let run = inner.clone().oneshot(request);
            async move {
                if has_a_task {
                    return tokio::spawn(run).await.expect("no panic");
                }
                run.await
            }
        });
        let between =
            tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
        let service = preset(&log).layer(preset(&other).layer(between.layer(inner)));
        slow.pause_appends();
        let answer = tokio::spawn(service.oneshot(post("/scans")));
        slow.until_paused(1).await;
        assert_eq!(store.events().len(), 0, "the handler has not ended");
        tokio::time::timeout(Duration::from_secs(2), first_event(&store)).await.expect("the handler ends");
        slow.resume_appends();
        let answer = answer.await.expect("no panic").expect("infallible");
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        let mut outcomes: Vec<_> = store.events().iter().map(|event| event.outcome).collect();
        outcomes.sort_unstable();
        assert_eq!(outcomes, [Some(200), Some(504)], "{has_a_task}");
    }
}

async fn first_event(store: &MemoryStore) {
    while store.events().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
