//! Handlers that panic or fail: an outcome, and exactly one event.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::MemoryStore;
use tower_audit::{AuditContext, AuditLayer, AuditLog, EventType, Phase};

use crate::layer::support::{Body, delete, memory_log, of_phase, post, response};

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_outcome_and_goes_on() {
    for (request, started) in [(post("/scans"), 0), (delete("/auth/admin/users/bob"), 1)] {
        let (log, store) = memory_log().await;
        let handler = tower::service_fn(|_request: Request<Body>| async {
            tokio::task::yield_now().await;
            if true {
                panic!("on purpose");
            }
            Ok::<_, Infallible>(response(StatusCode::OK))
        });
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        let panic = tokio::spawn(service.oneshot(request)).await.expect_err("the panic goes on").into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(of_phase(&store, Phase::Started).len(), started);
        let completed = of_phase(&store, Phase::Completed);
        assert_eq!(completed.len(), 1);
        assert_eq!(completed[0].outcome, Some(500));
        assert_eq!(completed[0].details["panic"], true);
        assert_eq!(completed[0].classification.error.as_ref().map(|e| e.as_str()), Some("server-error"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_within_the_call_is_no_different() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| {
        if true {
            panic!("on purpose");
        }
        std::future::ready(Ok::<_, Infallible>(response(StatusCode::OK)))
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    tokio::spawn(service.oneshot(post("/scans"))).await.expect_err("the panic goes on");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 1);

    // Nor where only the handler has named the request, before it panicked.
    let handler = tower::service_fn(|_request: Request<Body>| {
        AuditContext::current().expect("a layer is around").event_type(EventType::AUTH);
        if true {
            panic!("on purpose");
        }
        std::future::ready(Ok::<_, Infallible>(response(StatusCode::OK)))
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    tokio::spawn(service.oneshot(post("/login"))).await.expect_err("the panic goes on");
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!((completed.len(), &completed[0].event_type), (2, &EventType::AUTH));
    assert_eq!((completed[0].outcome, &completed[0].details["panic"]), (Some(500), &true.into()));
}

/// The future of a handler that panics when it is dropped, whatever came of it before.
struct PanicsInDrop<F>(Pin<Box<F>>);

impl<F: Future> Future for PanicsInDrop<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<F> Drop for PanicsInDrop<F> {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_dropped_has_its_event() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Before {
        Response,
        Panic,
        Nothing,
    }
    for (path, before) in ["/scans", "/auth/admin/users"]
        .into_iter()
        .flat_map(|path| [Before::Response, Before::Panic, Before::Nothing].map(|before| (path, before)))
    {
        let store = MemoryStore::new();
        let log = AuditLog::builder().store(Arc::new(store.clone())).detached(1, Some(Duration::from_secs(60)));
        let log = log.open().await.expect("it opens");
        let handler = tower::service_fn(move |_request: Request<Body>| {
            PanicsInDrop(Box::pin(async move {
                tokio::task::yield_now().await;
                match before {
                    Before::Response => {}
                    Before::Panic => panic!("on purpose"),
                    Before::Nothing => std::future::pending().await,
                }
                Ok::<_, Infallible>(response(StatusCode::OK))
            }))
        });
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        let answer = tokio::spawn(tokio::time::timeout(Duration::from_secs(1), service.oneshot(post(path)))).await;
        assert_eq!(answer.is_err(), before != Before::Nothing, "{path}: after a response, too, it goes on");
        // A client that has left leaves a handler that is given up later.
        tokio::time::sleep(Duration::from_secs(61)).await;
        log.close().await.expect("nothing is left");
        let completed = of_phase(&store, Phase::Completed);
        assert_eq!(completed.len(), 1, "{path}, {before:?}");
        let how = if before == Before::Nothing { "aborted" } else { "panic" };
        assert_eq!(completed[0].details[how], true, "{path}, {before:?}");
    }
}

/// A panic ends the future that lets it go on: to drive that any further would be a second panic, on a task of its own.
#[tokio::test(start_paused = true)]
async fn a_request_that_panicked_is_driven_no_further() {
    let (log, store) = memory_log().await;
    for (recorded, request) in [post("/scans"), delete("/auth/admin/users/bob")].into_iter().enumerate() {
        let handler = tower::service_fn(|_request: Request<Body>| async {
            if true {
                panic!("on purpose");
            }
            Ok::<_, Infallible>(response(StatusCode::OK))
        });
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        AssertUnwindSafe(service.oneshot(request)).catch_unwind().await.expect_err("the panic goes on");
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), tasks);
        assert_eq!(of_phase(&store, Phase::Completed).len(), recorded + 1);
    }
}

#[derive(Debug, PartialEq)]
struct OwnError(u32);

#[tokio::test(start_paused = true)]
async fn the_error_of_the_inner_service_passes_through_unchanged() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async { Err::<Response<Body>, _>(OwnError(7)) });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    assert_eq!(service.oneshot(post("/scans")).await.expect_err("the handler fails"), OwnError(7));
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].details["service_error"], true);
}
