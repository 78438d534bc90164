//! Hanging up hides nothing. The response future is dropped at every single poll.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{Request, StatusCode};
use tower::{Layer as _, Service as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::{AuditContext, AuditEvent, AuditLayer, AuditPolicy, EventType, Phase, RecordWhen};

use crate::layer::support::{Body, delete, let_others_run, memory_log, of_phase, post, response};

/// Polls `future` at most `polls` times, everything else in between, and drops it.
async fn drop_after<F: Future>(future: F, polls: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let is_ready = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if is_ready {
            return true;
        }
        let_others_run().await;
    }
    false
}

/// Drives a request to `path` with a handler of `awaits` steps that takes effect at `effect_at`, dropped after each
/// number of polls. Returns for each whether it was ready, how many effects there were, and the events.
async fn outcomes(path: &'static str, awaits: usize, effect_at: usize) -> Vec<(bool, usize, Vec<AuditEvent>)> {
    let mut outcomes = Vec::new();
    for polls in 0.. {
        let (log, store) = memory_log().await;
        let effects = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&effects);
        let handler = tower::service_fn(move |_request: Request<Body>| {
            let taken = Arc::clone(&taken);
            async move {
                for step in 0..awaits {
                    if step == effect_at {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
                Ok::<_, Infallible>(response(StatusCode::OK))
            }
        });
        let mut service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        let request = if path == "/scans" { post(path) } else { delete(path) };
        let future = service.ready().await.expect("always ready").call(request);
        let was_ready = drop_after(future, polls).await;
        log.close().await.expect("everything is written");
        outcomes.push((was_ready, effects.load(Ordering::Relaxed), store.events()));
        if was_ready {
            return outcomes;
        }
    }
    unreachable!("the future becomes ready")
}

#[tokio::test(start_paused = true)]
async fn an_effect_has_its_event_after_a_drop_at_any_poll() {
    for path in ["/scans", "/auth/admin/users/bob"] {
        for awaits in 1..6 {
            for effect_at in 0..awaits {
                let outcomes = outcomes(path, awaits, effect_at).await;
                assert!(outcomes.len() > awaits, "there were fewer polls than awaits");
                for (polls, (_, effects, events)) in outcomes.iter().enumerate() {
                    let told = |is: fn(&AuditEvent) -> bool| events.iter().filter(|event| is(event)).count();
                    let started = told(|event| event.phase == Phase::Started);
                    let ends = told(|event| event.phase == Phase::Completed && event.outcome == Some(200));
                    let not_run = told(|event| event.details.contains_key("not_run"));
                    let case = format!("{path}: {awaits} awaits, effect at {effect_at}, dropped after {polls}");
                    assert_eq!(*effects, ends, "{case}");
                    // At the first poll an admin action waits for its start: then its handler is never called.
                    let is_called = path == "/scans" || polls > 1;
                    assert_eq!(*effects, usize::from(is_called), "{case}");
                    // Each `started` event has an end.
                    assert_eq!(started, if path == "/scans" { 0 } else { ends + not_run }, "{case}");
                    assert_eq!(started, usize::from(path != "/scans" && polls > 0), "{case}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outer_timeout_hides_nothing() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let audited = AuditLayer::new(&log, presets::ivre()).layer(handler);
    let service = tower::timeout::Timeout::new(audited, Duration::from_secs(1));
    service.oneshot(post("/scans")).await.expect_err("the timeout fires");
    assert!(store.events().is_empty());
    // The paused clock runs on by itself, since everyone waits: the handler ends meanwhile.
    tokio::time::sleep(Duration::from_secs(61)).await;
    log.close().await.expect("everything is written");
    assert_eq!(store.events().len(), 1);
    assert_eq!(store.events()[0].outcome, Some(200));
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_requests_whose_client_has_left() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let mut service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    let future = service.ready().await.expect("always ready").call(delete("/auth/admin/users/bob"));
    assert!(!drop_after(future, 1).await);
    log.close().await.expect("everything is written");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_named_when_the_log_is_closed() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| std::future::pending::<Result<_, Infallible>>());
    let handler = handler.map_response(|never: http::Response<Body>| never);
    let mut service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    let future = service.ready().await.expect("always ready").call(delete("/auth/admin/users/bob"));
    assert!(!drop_after(future, 2).await);
    let error = log.close().await.expect_err("a request is still running");
    assert_eq!(error.unfinished_requests(), 1);
    assert_eq!(of_phase(&store, Phase::Started).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_declared_event_of_an_unnamed_request_survives_its_drop() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        if let Some(audit) = AuditContext::current() {
            audit.event_type(EventType::AUTH);
        }
        std::future::pending::<Result<http::Response<Body>, Infallible>>().await
    });
    let mut service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    let future = service.ready().await.expect("always ready").call(post("/unnamed"));
    assert!(!drop_after(future, 1).await);
    log.close().await.expect("everything is written");
    let events = store.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].details["aborted"], true);
    assert_eq!(events[0].outcome, None);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_has_its_event() {
    let (log, store) = memory_log().await;
    let rule = presets::ivre::upload().when(RecordWhen::always()).body_end(true);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let service = AuditLayer::new(&log, policy).layer(crate::layer::support::answering(StatusCode::OK));
    let response = service.oneshot(post("/scans")).await.expect("infallible");
    assert_eq!(of_phase(&store, Phase::Completed).len(), 0);
    drop(response);
    log.close().await.expect("everything is written");
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0].details["body_end"], "dropped");
}
