//! Clients that leave while the store is out: the end of their request is the log's, whichever task and whichever layer
//! writes it, and however late it is noticed that they have left.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::store::StoreErrorKind;
use tower_audit::{AuditBody, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, Phase, RecordWhen, Rule};

use crate::layer::scripted_store::{Append, Scripted, WRITE_TIMEOUT};
use crate::layer::support::{Body, answering, let_others_run, of_phase, post, response};

fn rule(is_write_ahead: bool) -> Rule {
    let event_type = EventType::new("a.b").expect("a valid type");
    Rule::new(event_type).when(RecordWhen::always()).paths(["/x"]).write_ahead(is_write_ahead)
}

fn layer(log: &AuditLog, is_write_ahead: bool) -> AuditLayer {
    AuditLayer::new(log, AuditPolicy::builder().rule(rule(is_write_ahead)).build().expect("a valid policy"))
}

/// The outcome of each end, and each `started` event has exactly one.
fn outcomes(store: &Scripted) -> Vec<Option<u16>> {
    let events = store.kept.events();
    for started in events.iter().filter(|event| event.phase == Phase::Started) {
        let ends = events.iter().filter(|event| event.request.started_event_id == Some(started.event_id));
        assert_eq!(ends.count(), 1, "{events:?}");
    }
    of_phase(&store.kept, Phase::Completed).iter().rev().map(|event| event.outcome).collect()
}

/// Fails for now, what is no `started` event.
fn fail_ends(store: &Scripted) {
    store.set(|events: &[AuditEvent]| {
        if events.iter().any(|event| event.phase != Phase::Started) {
            Append::Fails(StoreErrorKind::Transient)
        } else {
            Append::Keeps
        }
    });
}

/// The inner layer is on a task of its own, which does not notice that the client leaves: before its handler has ended, or
/// while its event is written.
#[tokio::test(start_paused = true)]
async fn the_end_on_a_task_of_its_own_outlasts_an_outage() {
    for hung_up_at in [20, 200] {
        for (is_outer_ahead, is_inner_ahead) in [(true, false), (false, true), (true, true), (false, false)] {
            let case = format!("at {hung_up_at} ms, write-ahead {is_outer_ahead}, {is_inner_ahead}");
            let (log, store) = Scripted::log().await;
            fail_ends(&store);
            let handler = tower::service_fn(|_request: Request<Body>| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok::<_, Infallible>(response(StatusCode::OK))
            });
            let inner = layer(&log, is_inner_ahead).layer(handler);
            let on_a_task = tower::service_fn(move |request: Request<Body>| {
                let task = tokio::spawn(inner.clone().oneshot(request));
                async move { task.await.expect("no panic") }
            });
            let answer = layer(&log, is_outer_ahead).layer(on_a_task).oneshot(post("/x"));
            assert!(tokio::time::timeout(Duration::from_millis(hung_up_at), answer).await.is_err(), "{case}");
            tokio::time::sleep(WRITE_TIMEOUT * 4).await;
            assert_eq!(log.stats().owed, 1, "{case}");
            store.set_all(Append::Keeps);
            log.close().await.expect("nothing is left");
            assert_eq!(outcomes(&store), [Some(200)], "{case}");
        }
    }
}

/// A timeout in between has answered, and the handler that goes on has no client.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_handler_that_was_answered_for_outlasts_an_outage() {
    let (log, store) = Scripted::log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let inner = layer(&log, true).layer(handler);
    let answers_early = tower::service_fn(move |request: Request<Body>| {
        let task = tokio::spawn(inner.clone().oneshot(request));
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(task);
            let mut answer = Response::new(AuditBody::<Body>::default());
            *answer.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            Ok::<_, Infallible>(answer)
        }
    });
    let answer = layer(&log, false).layer(answers_early).oneshot(post("/x")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    fail_ends(&store);
    tokio::time::sleep(WRITE_TIMEOUT * 4).await;
    assert_eq!(log.stats().owed, 1);
    store.set_all(Append::Keeps);
    log.close().await.expect("nothing is left");
    assert_eq!(outcomes(&store), [Some(504), Some(200)]);
}

/// The writer has answered that the time is over, and the client leaves before its task is polled.
#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_it_is_told_of_a_timeout_leaves_the_end_to_the_log() {
    for (is_write_ahead, is_body_end) in [(false, false), (true, false), (true, true)] {
        {
            for leaves in [true, false] {
                let case =
                    format!("write-ahead {is_write_ahead}, at the end of the body {is_body_end}, leaves {leaves}");
                let (log, store) = Scripted::log().await;
                let handler = tower::service_fn(|_request: Request<Body>| async {
                    Ok::<_, Infallible>(response(StatusCode::OK))
                });
                let policy = AuditPolicy::builder().rule(rule(is_write_ahead).body_end(is_body_end)).build();
                let service = AuditLayer::new(&log, policy.expect("a valid policy")).layer(handler);
                let answer = async {
                    let response = service.oneshot(post("/x")).await.expect("infallible");
                    let status = response.status();
                    http_body_util::BodyExt::collect(response.into_body()).await.map(|_| status)
                };
                {
                    let mut answer = pin!(answer);
                    let mut cx = Context::from_waker(Waker::noop());
                    fail_ends(&store);
                    // Up to the write of the end.
                    for _ in 0..4 {
                        assert!(answer.as_mut().poll(&mut cx).is_pending(), "{case}");
                        let_others_run().await;
                    }
                    // Answered, and not polled.
                    tokio::time::sleep(WRITE_TIMEOUT + Duration::from_millis(200)).await;
                    log.flush().await.expect("its time is over, whoever has read that");
                    if !leaves {
                        let told = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
                        let Poll::Ready(told) = told else { panic!("it is answered: {case}") };
                        assert!(told.is_err() || told.is_ok_and(|status| status == StatusCode::INTERNAL_SERVER_ERROR));
                    }
                }
                // Between the task that learns of the timeout and the worker.
                let flush = tokio::spawn({
                    let log = log.clone();
                    async move { log.flush().now_or_never() }
                });
                let flushed = flush.await.expect("no panic");
                assert_eq!(flushed.is_none(), leaves, "an event that is owed is not settled: {case}");
                let_others_run().await;
                assert_eq!(log.stats().owed, u64::from(leaves), "{case}");
                assert_eq!(log.stats().timed_out, u64::from(!leaves), "{case}");
                store.set_all(Append::Keeps);
                log.close().await.expect("nothing is left");
                let events = of_phase(&store.kept, Phase::Completed);
                assert_eq!(events.len(), usize::from(leaves), "{case}: {events:?}");
            }
        }
    }
}

/// The store takes the event after its deadline, and before the task of the request is polled: the response leaves.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_durable_before_its_request_learns_of_the_timeout_releases_the_response() {
    let (log, store) = Scripted::log().await;
    store.set_all(Append::KeepsAfter(WRITE_TIMEOUT + Duration::from_millis(50)));
    let service = layer(&log, false).layer(answering(StatusCode::CREATED));
    let mut answer = pin!(service.oneshot(post("/x")));
    for _ in 0..4 {
        assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let_others_run().await;
    }
    tokio::time::sleep(WRITE_TIMEOUT + Duration::from_millis(200)).await;
    let Poll::Ready(Ok(answer)) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await else {
        panic!("it is answered");
    };
    assert_eq!(answer.status(), StatusCode::CREATED);
    let stats = log.stats();
    assert_eq!((stats.written, stats.timed_out, stats.failed, stats.owed), (1, 0, 0, 0));
    assert_eq!(outcomes(&store), [Some(201)]);
    log.close().await.expect("nothing is left");
}

/// The same, and the log closes before the task is polled: it waits for the request no longer than it may.
#[tokio::test(start_paused = true)]
async fn closing_forgets_no_event_that_is_durable_before_its_request_learns_of_it() {
    let store = Scripted::new();
    let log = AuditLog::builder().store(store.clone()).write_timeout(WRITE_TIMEOUT).close_timeout(WRITE_TIMEOUT);
    let log = log.open().await.expect("it opens");
    store.set_all(Append::KeepsAfter(WRITE_TIMEOUT + Duration::from_millis(50)));
    let service = layer(&log, false).layer(answering(StatusCode::CREATED));
    let mut answer = pin!(service.oneshot(post("/x")));
    for _ in 0..4 {
        assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let_others_run().await;
    }
    tokio::time::sleep(WRITE_TIMEOUT + Duration::from_millis(200)).await;
    let error = log.close().await.expect_err("a request is unfinished");
    assert!(error.owed_events().is_empty(), "{error}");
    let answer = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
    assert!(matches!(answer, Poll::Ready(Ok(answer)) if answer.status() == StatusCode::CREATED));
}

/// The `started` event has taken 300 ms of 500: an end for which no client waits has a whole write timeout all the same.
#[tokio::test(start_paused = true)]
async fn an_end_without_a_client_has_a_whole_write_timeout() {
    for is_body_end in [false, true] {
        let (log, store) = Scripted::log().await;
        store.set(|events| {
            let is_start = events.iter().all(|event| event.phase == Phase::Started);
            Append::KeepsAfter(Duration::from_millis(if is_start { 300 } else { 400 }))
        });
        let handler = tower::service_fn(|_request: Request<Body>| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, Infallible>(response(StatusCode::OK))
        });
        let policy = AuditPolicy::builder().rule(rule(true).body_end(is_body_end)).build().expect("a valid policy");
        let answer = AuditLayer::new(&log, policy).layer(handler).oneshot(post("/x"));
        // While the handler runs, or when it has answered.
        let hung_up_at = Duration::from_millis(if is_body_end { 410 } else { 350 });
        assert_eq!(tokio::time::timeout(hung_up_at, answer).await.is_ok(), is_body_end);
        tokio::time::sleep(Duration::from_millis(700) - hung_up_at).await;
        assert_eq!((log.stats().owed, log.stats().at_store), (0, 1), "at the end of the body: {is_body_end}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!((log.stats().owed, log.stats().written, log.stats().timed_out), (0, 2, 0));
        assert_eq!(outcomes(&store), [Some(200)]);
        log.close().await.expect("nothing is left");
    }
}

/// The queue has room for one event, and another one is in it until the deadline has passed. The worker looks at
/// deadlines every 20 ms:
///
/// ```text
/// 305 ms  another event is queued, until 805 ms
/// 310 ms  the end waits for room, until 810 ms; then its client leaves
/// 820 ms  the worker removes the other event
/// ```
#[tokio::test(start_paused = true)]
async fn an_end_that_found_no_room_is_written_if_its_client_has_left() {
    let store = Scripted::new();
    let log = AuditLog::builder().store(store.clone()).write_timeout(WRITE_TIMEOUT).queue_limits(1, usize::MAX);
    let log = log.open().await.expect("it opens");
    store.set_all(Append::KeepsAfter(WRITE_TIMEOUT * 4));
    let record = || {
        let log = log.clone();
        tokio::spawn(async move { log.record(AuditEvent::new(EventType::UPLOAD)).await })
    };
    let first = record();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let second = record();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let service = layer(&log, false).layer(answering(StatusCode::OK));
    let answer = service.oneshot(post("/x"));
    assert!(tokio::time::timeout(Duration::from_millis(50), answer).await.is_err());
    tokio::time::sleep(Duration::from_millis(455)).await;
    assert_eq!((log.stats().owed, log.stats().rejected), (1, 0), "at 815 ms");
    for other in [first, second] {
        other.await.expect("no panic").expect_err("its time is over");
    }
    store.set_all(Append::Keeps);
    tokio::time::sleep(WRITE_TIMEOUT * 4).await;
    log.close().await.expect("nothing is left");
    let ends = of_phase(&store.kept, Phase::Completed);
    assert!(ends.iter().any(|end| end.event_type.as_str() == "a.b" && end.outcome == Some(200)), "{ends:?}");
}
