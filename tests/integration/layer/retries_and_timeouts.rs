//! Layers between two layers of one log that try again, give up early, or answer by themselves: each run of the handler
//! has an event, and so has each answer: no response without its event, no effect without a trace, exactly one event.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{
    AuditBody, AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, Phase, RecordWhen, Rule,
};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::layer::support::{Body, answering, delete, let_others_run, memory_log, of_phase, post, response};

fn own(name: &str) -> Rule {
    Rule::new(EventType::new(name).expect("a valid type")).when(RecordWhen::always())
}

async fn faulty_log() -> (AuditLog, FaultyStore, MemoryStore) {
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("it opens");
    (log, faulty, memory)
}

fn completed(store: &MemoryStore) -> Vec<AuditEvent> {
    let mut completed = of_phase(store, Phase::Completed);
    completed.reverse();
    completed
}

fn outcomes(store: &MemoryStore) -> Vec<Option<u16>> {
    completed(store).iter().map(|event| event.outcome).collect()
}

/// Tries again what was answered with a 5xx.
#[derive(Clone)]
struct Again(usize);

impl<R> tower::retry::Policy<Request<Body>, Response<R>, Infallible> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<Response<R>, Infallible>) -> Option<Ready<()>> {
        let Ok(answer) = result else { return None };
        (answer.status().is_server_error() && self.0 > 0).then(|| {
            self.0 -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

/// A handler that fails this often, and says how often it was tried.
fn failing(
    times: u16,
) -> impl tower::Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send {
    let tried = Arc::new(AtomicU16::new(0));
    tower::service_fn(move |_request: Request<Body>| {
        let tried = tried.fetch_add(1, Ordering::Relaxed);
        async move {
            AuditContext::current().expect("a layer is around").detail(format!("tried_{tried}"), true);
            Ok(response(if tried < times { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told() {
    // The outer layer is for the request, or only looks on; the handler comes right at last, or never does.
    for (path, write_ahead) in [("/auth/admin/x", true), ("/scans", false), ("/elsewhere", true), ("/elsewhere", false)]
    {
        for (fails, expected) in [(2, [503, 503, 200]), (9, [503, 503, 503])] {
            let (log, store) = memory_log().await;
            let inner =
                AuditLayer::for_route(&log, own("user.removed").write_ahead(write_ahead)).expect("a valid rule");
            let between = tower::retry::RetryLayer::new(Again(2));
            let service = AuditLayer::new(&log, presets::ivre()).layer(between.layer(inner.layer(failing(fails))));
            let mut request = post(path);
            request.headers_mut().insert("x-request-id", HeaderValue::from_static("r-1"));
            service.oneshot(request).await.expect("infallible");
            let case = format!("{path}, write-ahead: {write_ahead}, fails: {fails}");
            assert_eq!(outcomes(&store), expected.map(Some), "{case}");
            let ends = completed(&store);
            for (tried, end) in ends.iter().enumerate() {
                assert_eq!(end.event_type.as_str(), "user.removed", "{case}");
                assert_eq!(end.request.request_id.as_deref(), Some("r-1"), "{case}");
                // Additions of one attempt are not in the event of another.
                assert_eq!(end.details.keys().collect::<Vec<_>>(), [&format!("tried_{tried}")], "{case}");
            }
            let mut started: Vec<_> = of_phase(&store, Phase::Started).iter().map(|event| event.event_id).collect();
            started.reverse();
            let named: Vec<_> = ends.iter().filter_map(|end| end.request.started_event_id).collect();
            assert_eq!(started, named, "each end has a start of its own, the first that of the outer layer: {case}");
            assert_eq!(started.len(), if write_ahead { 3 } else { 0 }, "{case}");
        }
    }
}

/// One that fails for good, after another was answered.
#[tokio::test(start_paused = true)]
async fn a_panic_that_is_caught_between_is_told_once() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        if true {
            panic!("on purpose");
        }
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let inner = AuditLayer::for_route(&log, own("user.removed")).expect("a valid rule");
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(&log, presets::ivre()))
        .map_response(|answer: Response<_>| {
            Response::builder().status(answer.status()).body(Body::default()).expect("valid")
        })
        .layer(CatchPanicLayer::new())
        .service(inner.layer(handler));
    service.oneshot(delete("/auth/admin/x")).await.expect("caught");
    assert_eq!(outcomes(&store), [Some(500)]);
    assert_eq!(completed(&store)[0].details["panic"], true);
}

/// A layer that makes another response of the handler's, with nothing of it, has still one attempt behind it.
#[tokio::test(start_paused = true)]
async fn a_response_made_anew_between_is_told_once() {
    let (always, success) = (RecordWhen::always(), RecordWhen::success());
    for (when, status, expected) in [
        (&always, StatusCode::GONE, Some(404)),
        // The rule of the inner layer takes the place of the outer one's, also where it leaves the response out.
        (&success, StatusCode::NOT_FOUND, None),
        // The client gets another status than the one that is left out.
        (&success, StatusCode::GONE, Some(410)),
    ] {
        let (log, store) = memory_log().await;
        let rule = own("scan.imported").when(when.clone());
        let inner = AuditLayer::for_route(&log, rule).expect("a valid rule").layer(answering(StatusCode::NOT_FOUND));
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(
                &log,
                AuditPolicy::builder().rule(own("outer.layer").paths(["/{*all}"])).build().expect("valid"),
            ))
            .map_response(move |answer: Response<_>| {
                let mut anew = Response::new(answer.into_body());
                *anew.status_mut() = status;
                anew
            })
            .service(inner);
        assert_eq!(service.oneshot(post("/scans")).await.expect("infallible").status(), status);
        assert_eq!(outcomes(&store), expected.map(Some).into_iter().collect::<Vec<_>>());
    }
}

fn timeout(millis: u64) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(millis))
}

/// The client has its answer before the handler was called: then it is not called any more.
#[tokio::test(start_paused = true)]
async fn a_handler_whose_start_came_too_late_is_not_called() {
    // Under the timeout, the client's answer is written as well: by the outer layer, or, with nothing around, by none.
    for has_outer in [true, false] {
        let (log, faulty, store) = faulty_log().await;
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = tower::service_fn(move |_request: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(response(StatusCode::OK)) }
        });
        let inner = AuditLayer::for_route(&log, own("user.removed").write_ahead(true)).expect("a valid rule");
        let between = timeout(1000).layer(inner.layer(handler));
        faulty.pause_appends();
        let answer = if has_outer {
            let service = AuditLayer::new(&log, presets::ivre()).layer(between);
            tokio::spawn(async move { service.oneshot(post("/x")).await.map(|answer| answer.status()) })
        } else {
            tokio::spawn(async move { between.oneshot(post("/x")).await.map(|answer| answer.status()) })
        };
        faulty.until_paused(1).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        faulty.resume_appends();
        assert_eq!(answer.await.expect("no panic"), Ok(StatusCode::GATEWAY_TIMEOUT));
        log.close().await.expect("everything is written");
        assert_eq!(runs.load(Ordering::Relaxed), 0);
        let [started] = &of_phase(&store, Phase::Started)[..] else { panic!("{:?}", store.events()) };
        let ends = completed(&store);
        let (not_run, answered): (Vec<_>, Vec<_>) = ends.iter().partition(|end| end.details.contains_key("not_run"));
        let [not_run] = &not_run[..] else { panic!("{ends:?}") };
        assert_eq!((not_run.outcome, not_run.request.started_event_id), (Some(503), Some(started.event_id)));
        assert_eq!(answered.iter().map(|end| end.outcome).collect::<Vec<_>>(), vec![Some(504); usize::from(has_outer)]);
    }
}

/// The client hangs up while the start is written.
#[tokio::test(start_paused = true)]
async fn a_handler_whose_client_left_before_it_was_called_is_not_called() {
    let (log, faulty, store) = faulty_log().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let handler = tower::service_fn(move |_request: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(response(StatusCode::OK)) }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    faulty.pause_appends();
    let answer = tokio::spawn(service.oneshot(delete("/auth/admin/users/bob")));
    faulty.until_paused(1).await;
    answer.abort();
    let_others_run().await;
    faulty.resume_appends();
    log.close().await.expect("everything is written");
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    let ends = completed(&store);
    assert_eq!((ends.len(), ends[0].outcome, &ends[0].details["not_run"]), (1, Some(503), &true.into()));
    assert_eq!(ends[0].request.started_event_id, Some(of_phase(&store, Phase::Started)[0].event_id));
}

/// The `started` event of the outer layer is that of the attempt that still runs, and ends with it.
#[tokio::test(start_paused = true)]
async fn a_timeout_leaves_the_start_to_the_handler_that_still_runs() {
    let (log, store) = memory_log().await;
    let handler = tower::service_fn(|_request: Request<Body>| async {
        AuditContext::current().expect("a layer is around").detail("so_far", 1);
        tokio::time::sleep(Duration::from_secs(10)).await;
        AuditContext::current().expect("a layer is around").detail("at_last", 2);
        Ok::<_, Infallible>(response(StatusCode::NO_CONTENT))
    });
    let inner = AuditLayer::for_route(&log, own("user.removed")).expect("a valid rule");
    let service = AuditLayer::new(&log, presets::ivre()).layer(timeout(1000).layer(inner.layer(handler)));
    service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    log.close().await.expect("everything is written");
    let [answered, ended] = &completed(&store)[..] else { panic!("{:?}", store.events()) };
    let started = of_phase(&store, Phase::Started)[0].event_id;
    assert_eq!((answered.outcome, answered.request.started_event_id), (Some(504), None));
    assert_eq!((ended.outcome, ended.request.started_event_id), (Some(204), Some(started)));
    assert_eq!(answered.details.len(), 1, "what was said by then");
    assert_eq!(ended.details.len(), 2);
}

/// A future that is held and not polled delays the response by no more than the write timeout.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_nobody_polls_is_not_waited_for_without_end() {
    let (log, faulty, store) = faulty_log().await;
    let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule");
    let inner = inner.layer(answering(StatusCode::OK));
    let held = Arc::new(std::sync::Mutex::new(None));
    let hold = Arc::clone(&held);
    let between = tower::service_fn(move |request: Request<Body>| {
        let mut attempt = Box::pin(inner.clone().oneshot(request));
        let hold = Arc::clone(&hold);
        async move {
            let early = tokio::time::timeout(Duration::from_secs(1), &mut attempt).await;
            assert!(early.is_err(), "its event is being written");
            *hold.lock().expect("no panic") = Some(attempt);
            let mut answer = Response::new(AuditBody::<Body>::default());
            *answer.status_mut() = StatusCode::ACCEPTED;
            Ok::<_, Infallible>(answer)
        }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(between);
    faulty.pause_appends();
    let answer = tokio::spawn(service.oneshot(post("/scans")));
    faulty.until_paused(1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    faulty.resume_appends();
    let begun = tokio::time::Instant::now();
    assert_eq!(answer.await.expect("no panic").expect("infallible").status(), StatusCode::ACCEPTED);
    assert!(begun.elapsed() <= Duration::from_secs(5));
    assert_eq!(outcomes(&store), [Some(200), Some(202)], "in doubt one too many");
    drop(held);
}

/// A layer in between that dresses a refusal up does not make an outcome of it.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_made_anew_is_still_one() {
    for (write_ahead, has_another, status, retry) in
        [(true, false, 503, true), (false, false, 500, false), (true, true, 503, true), (false, true, 500, false)]
    {
        let (log, faulty, store) = faulty_log().await;
        let inner = AuditLayer::for_route(&log, own("scan.imported").write_ahead(write_ahead)).expect("a valid rule");
        let another = if has_another {
            AuditLayer::for_route(&log, own("another.layer")).expect("a valid rule")
        } else {
            AuditLayer::new(&log, AuditPolicy::builder().build().expect("a valid policy"))
        };
        let refused = Arc::new(std::sync::Mutex::new(None));
        let seen = Arc::clone(&refused);
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(&log, presets::ivre()))
            .map_response(move |answer: Response<_>| {
                *seen.lock().expect("no panic") = answer.headers().get("audit-event-id").cloned();
                Response::new(AuditBody::<Body>::default())
            })
            .layer(another)
            .service(inner.layer(answering(StatusCode::OK)));
        faulty.set_fault(Some(Fault::FailsAppend(tower_audit::store::StoreErrorKind::Permanent)));
        let answer = service.oneshot(post("/scans")).await.expect("infallible");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), retry);
        // The id is that of the event that is not there.
        assert_eq!(answer.headers().get("audit-event-id"), refused.lock().expect("no panic").as_ref());
        assert!(store.events().is_empty());
    }
}

/// No rule names the request: its handler does, each time.
#[tokio::test(start_paused = true)]
async fn attempts_that_only_the_handler_names_are_told_each() {
    let tried = Arc::new(AtomicU16::new(0));
    let login = tower::service_fn(move |_request: Request<Body>| {
        let tried = tried.fetch_add(1, Ordering::Relaxed) % 3;
        async move {
            let context = AuditContext::current().expect("a layer is around");
            context.event_type(EventType::AUTH).detail(format!("tried_{tried}"), true);
            tokio::time::sleep(Duration::from_secs(u64::from(3 - tried))).await;
            Ok::<_, Infallible>(response(if tried < 2 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }))
        }
    });
    let said = |store: &MemoryStore| -> Vec<_> {
        completed(store).iter().map(|end| end.details.keys().cloned().collect::<Vec<_>>().join(" ")).collect()
    };

    let (log, store) = memory_log().await;
    let watching = AuditLayer::new(&log, presets::ivre());
    let again = tower::retry::RetryLayer::new(Again(2));
    let service = watching.layer(again.layer(watching.layer(login.clone())));
    service.oneshot(post("/login")).await.expect("infallible");
    assert_eq!(outcomes(&store), [Some(502), Some(502), Some(200)]);
    assert_eq!(said(&store), ["tried_0", "tried_1", "tried_2"]);

    // Two at once: the second one is faster, and the first one is let go.
    let (log, store) = memory_log().await;
    let watching = AuditLayer::new(&log, presets::ivre());
    let inner = watching.layer(login);
    let hedged = tower::service_fn(move |request: Request<Body>| {
        let both = [inner.clone().oneshot(request.clone()), inner.clone().oneshot(request)];
        async move { futures_util::future::select_all(both.map(Box::pin)).await.0 }
    });
    watching.layer(hedged).oneshot(post("/login")).await.expect("infallible");
    let_others_run().await;
    let mut said = said(&store);
    said.sort();
    assert_eq!(said, ["aborted tried_0", "tried_1"]);
}

/// An attempt that has not begun is safe to repeat only if none before it has.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_did_is_not_said_to_be_undone() {
    // The end of the first attempt is recorded, or is not.
    for fails_at_once in [false, true] {
        let (log, faulty, memory) = faulty_log().await;
        let runs = Arc::new(AtomicUsize::new(0));
        let (ran, failing) = (Arc::clone(&runs), faulty.clone());
        let handler = tower::service_fn(move |_request: Request<Body>| {
            ran.fetch_add(1, Ordering::Relaxed);
            let failing = failing.clone();
            async move {
                if fails_at_once {
                    failing.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
                }
                Ok::<_, Infallible>(response(StatusCode::BAD_GATEWAY))
            }
        });
        let route = AuditLayer::for_route(&log, own("user.removed").write_ahead(true)).expect("a valid rule");
        let inner = route.layer(handler);
        let again = tower::service_fn(move |request: Request<Body>| {
            let (inner, failing) = (inner.clone(), faulty.clone());
            async move {
                inner.clone().oneshot(request.clone()).await.expect("infallible");
                failing.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
                inner.oneshot(request).await
            }
        });
        let answer = AuditLayer::new(&log, presets::ivre()).layer(again).oneshot(post("/unnamed")).await;
        let answer = answer.expect("infallible");
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(outcomes(&memory).len(), usize::from(!fails_at_once));
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers().get("retry-after"), None);
    }
}

/// The inner layer's rules do not name the request: the outer one records one event, with the last outcome.
#[tokio::test(start_paused = true)]
async fn attempts_that_only_an_outer_layer_names_are_one_request() {
    let (log, store) = memory_log().await;
    let inner =
        AuditLayer::new(&log, AuditPolicy::builder().rule(own("b.inner").paths(["/other"])).build().expect("valid"));
    let outer = AuditLayer::new(&log, presets::ivre());
    let service = ServiceBuilder::new()
        .layer(outer)
        .layer(tower::retry::RetryLayer::new(Again(2)))
        .layer(inner)
        .service(failing(2));
    assert_eq!(service.oneshot(post("/scans")).await.expect("infallible").status(), 200);
    assert_eq!(outcomes(&store), [Some(200)]);
}

/// A cache between two layers keeps what the inner one has answered, with its extensions, and answers a later request with it when the
/// service fails. The mark in it is that of another request: this answer is an end of its own.
#[tokio::test(start_paused = true)]
async fn an_answer_to_an_earlier_request_is_an_end_of_its_own() {
    let (log, store) = memory_log().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = tower::service_fn(move |_request: Request<Body>| {
        let is_first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        async move { Ok::<_, Infallible>(response(if is_first { StatusCode::OK } else { StatusCode::BAD_GATEWAY })) }
    });
    let inner = AuditLayer::for_route(&log, own("scan.imported")).expect("a valid rule").layer(handler);
    let kept = Arc::new(std::sync::Mutex::new(None));
    let cache = tower::service_fn(move |request: Request<Body>| {
        let (inner, kept) = (inner.clone(), Arc::clone(&kept));
        async move {
            for _ in 0..2 {
                let fresh = inner.clone().oneshot(request.clone()).await?;
                if fresh.status().is_success() {
                    *kept.lock().expect("no panic") = Some(fresh.extensions().clone());
                    return Ok::<_, Infallible>(fresh);
                }
            }
            let mut stale = Response::new(AuditBody::<Body>::default());
            *stale.extensions_mut() = kept.lock().expect("no panic").clone().expect("an earlier answer");
            Ok(stale)
        }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(cache);
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(post("/scans")).await.expect("infallible").status(), StatusCode::OK);
    }
    assert_eq!(outcomes(&store), [Some(200), Some(502), Some(502), Some(200)]);
}
