//! A store that fails: a failure says whether the request was carried out, exactly one event, everything is bounded. The
//! store of these tests is a real one with a fault that can be set.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, FailMode, Phase, Rule};

use crate::layer::support::{Body, answering, delete, let_others_run, of_phase, post, response};

const DEADLINE: Duration = Duration::from_secs(5);

async fn faulty_log() -> (AuditLog, FaultyStore, MemoryStore) {
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("the store is well for now");
    (log, faulty, memory)
}

/// The faults that no retry heals within the deadline, and how long a request waits for them at the most.
const LASTING: [(Fault, Duration); 4] = [
    (Fault::FailsAppend(StoreErrorKind::Permanent), Duration::from_millis(100)),
    (Fault::FailsAppend(StoreErrorKind::Transient), DEADLINE),
    (Fault::HangsAppend, DEADLINE),
    (Fault::Panics, Duration::from_millis(100)),
];

#[tokio::test(start_paused = true)]
async fn not_started_means_not_done_and_says_so() {
    for (fault, bound) in LASTING {
        let (log, faulty, memory) = faulty_log().await;
        faulty.set_fault(Some(fault));
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&has_run);
        let handler = tower::service_fn(move |_request: Request<Body>| {
            runs.store(true, Ordering::Relaxed);
            async { Ok::<_, Infallible>(response(StatusCode::OK)) }
        });
        let begun = Instant::now();
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        let answer = service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
        assert!(begun.elapsed() <= bound + Duration::from_millis(100), "{fault:?}: {:?}", begun.elapsed());
        assert!(!has_run.load(Ordering::Relaxed), "{fault:?}: the handler ran");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        assert_problem(answer, 503).await;
        assert!(memory.events().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn not_recorded_means_possibly_done_and_says_so() {
    for (fault, bound) in LASTING {
        let (log, faulty, _memory) = faulty_log().await;
        faulty.set_fault(Some(fault));
        let begun = Instant::now();
        let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
        let answer = service.oneshot(post("/scans")).await.expect("infallible");
        assert!(begun.elapsed() <= bound + Duration::from_millis(100), "{fault:?}: {:?}", begun.elapsed());
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!answer.headers().contains_key("retry-after"));
        assert_problem(answer, 500).await;
    }
}

/// The answer is a problem document with the id to quote, and nothing of the handler's or the store's is in it.
async fn assert_problem<B>(answer: Response<B>, status: u16)
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = answer.into_parts();
    assert!(!parts.headers.contains_key("x-handler"));
    assert_eq!(parts.headers["content-type"], "application/problem+json");
    let id = parts.headers["audit-event-id"].to_str().expect("text").to_owned();
    let bytes = body.collect().await.expect("the body ends well").to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(document["status"], status);
    assert_eq!(document["audit_event_id"], id);
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    for word in ["from the handler", "memory", "store", "fault", "panic"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_between_start_and_end_leaves_the_start() {
    let (log, faulty, memory) = faulty_log().await;
    let breaks = faulty.clone();
    let handler = tower::service_fn(move |_request: Request<Body>| {
        breaks.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
        async { Ok::<_, Infallible>(response(StatusCode::OK)) }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    let answer = service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(of_phase(&memory, Phase::Started).len(), 1);
    assert_eq!(of_phase(&memory, Phase::Completed).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself_is_tried_again() {
    for fault in [Fault::FailsFirst(3), Fault::StoresButReportsError] {
        let (log, faulty, memory) = faulty_log().await;
        faulty.set_fault(Some(fault));
        let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
        let answer = service.oneshot(post("/scans")).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::OK, "{fault:?}");
        // Kept once, also when the store had kept it the first time.
        assert_eq!(memory.events().len(), 1, "{fault:?}");
        assert!(log.stats().retries > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_well_again_is_used_again() {
    let (log, faulty, memory) = faulty_log().await;
    for fault in LASTING.map(|(fault, _)| fault) {
        faulty.set_fault(Some(fault));
        let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
        assert_eq!(service.clone().oneshot(post("/scans")).await.expect("infallible").status(), 500);
        faulty.set_fault(None);
        let before = memory.events().len();
        if matches!(fault, Fault::HangsAppend) {
            // An append that hangs for ever occupies the writer until it ends.
            break;
        }
        assert_eq!(service.oneshot(post("/scans")).await.expect("infallible").status(), 200, "{fault:?}");
        assert!(memory.events().len() > before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_let_its_events_go() {
    let (log, faulty, _memory) = faulty_log().await;
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    let rule = presets::ivre::admin_action().fail_mode(FailMode::Open);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let service = AuditLayer::new(&log, policy).layer(answering(StatusCode::OK));
    let answer = service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-handler"], "1");
    // Counted, not silent: the start and the end.
    assert_eq!(log.stats().unrecorded, 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_while_a_batch_is_written_is_the_next_batch() {
    let (log, faulty, memory) = faulty_log().await;
    faulty.pause_appends();
    let record = || {
        let log = log.clone();
        tokio::spawn(async move { log.record(AuditEvent::new(EventType::UPLOAD)).await })
    };
    let mut tasks = vec![record()];
    faulty.until_paused(1).await;
    tasks.extend((0..99).map(|_| record()));
    let_others_run().await;
    assert!(memory.events().is_empty());
    faulty.resume_appends();
    for task in tasks {
        task.await.expect("no panic").expect("recorded");
    }
    assert_eq!(memory.events().len(), 100);
    assert_eq!(faulty.appends(), 2, "the first event, then all the others");
    log.flush().await.expect("everything is settled");
    assert_eq!(log.stats().written, 100);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_everyone_gets_an_answer_by_the_deadline() {
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let log =
        AuditLog::builder().store(Arc::new(faulty.clone())).queue_limits(10, 1 << 20).open().await.expect("it opens");
    faulty.set_fault(Some(Fault::HangsAppend));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.record(AuditEvent::new(EventType::UPLOAD)).await })
        })
        .collect();
    let_others_run().await;
    assert_eq!(log.stats().queued, 10);
    for task in tasks {
        task.await.expect("no panic").expect_err("the store hangs");
    }
    assert!(begun.elapsed() <= DEADLINE + Duration::from_millis(100), "{:?}", begun.elapsed());
    let stats = log.stats();
    assert_eq!(stats.timed_out + stats.rejected, 500);
}

#[tokio::test(start_paused = true)]
async fn a_closed_log_refuses() {
    let (log, _faulty, memory) = faulty_log().await;
    log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("recorded");
    log.close().await.expect("closed");
    log.close().await.expect("closing twice is no error");
    log.record(AuditEvent::new(EventType::UPLOAD)).await.expect_err("it is closed");
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let handler = tower::service_fn(move |_request: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(response(StatusCode::OK)) }
    });
    // It is known beforehand that nothing can be written: no handler runs, with or without write-ahead.
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler.clone());
    for request in [delete("/auth/admin/users/bob"), post("/scans")] {
        let answer = service.clone().oneshot(request).await.expect("infallible");
        assert!(answer.headers().contains_key("retry-after"));
        assert_problem(answer, 503).await;
    }
    assert_eq!((memory.events().len(), runs.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(log.stats().rejected, 3);
    // But one that may go on without.
    let rule = presets::ivre::upload().fail_mode(FailMode::Open);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let answer = AuditLayer::new(&log, policy).layer(handler).oneshot(post("/scans")).await.expect("infallible");
    assert_eq!((answer.status(), runs.load(Ordering::Relaxed), log.stats().unrecorded), (StatusCode::OK, 1, 1));
}

/// A start that was let go is named by the end all the same: it may be kept yet.
#[tokio::test(start_paused = true)]
async fn an_end_names_a_start_that_came_late() {
    let (log, faulty, memory) = faulty_log().await;
    let policy =
        AuditPolicy::builder().rule(presets::ivre::admin_action().fail_mode(FailMode::Open)).build().expect("valid");
    let recovers = faulty.clone();
    let handler = tower::service_fn(move |_request: Request<Body>| {
        recovers.resume_appends();
        async { Ok::<_, Infallible>(response(StatusCode::OK)) }
    });
    faulty.pause_appends();
    let service = AuditLayer::new(&log, policy).layer(handler);
    assert_eq!(service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible").status(), StatusCode::OK);
    log.close().await.expect("everything is written");
    let [completed, started] = &memory.events()[..] else { panic!("{:?}", memory.events()) };
    assert_eq!((started.phase, completed.phase), (Phase::Started, Phase::Completed));
    assert_eq!(completed.request.started_event_id, Some(started.event_id));
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_event_cannot_be_written_ends_in_an_error() {
    let (log, faulty, _memory) = faulty_log().await;
    let rule = presets::ivre::upload().body_end(true);
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let service = AuditLayer::new(&log, policy).layer(answering(StatusCode::OK));
    let answer = service.oneshot(post("/scans")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    answer.into_body().collect().await.expect_err("no clean end without the event");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_event_keeps_nothing_that_the_server_read() {
    /// A server's read buffer. It counts towards no limit of the queue, and each request may have one.
    struct ReadBuffer(Arc<AtomicBool>);

    impl AsRef<[u8]> for ReadBuffer {
        fn as_ref(&self) -> &[u8] {
            b"/scans?q=1 Bearer token agent 192.0.2.1"
        }
    }

    impl Drop for ReadBuffer {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let (log, faulty, memory) = faulty_log().await;
    let is_free = Arc::new(AtomicBool::new(false));
    let read = Bytes::from_owner(ReadBuffer(Arc::clone(&is_free)));
    let mut request = post("/");
    *request.uri_mut() = Uri::from_maybe_shared(read.slice(..10)).expect("a path");
    for (name, place) in [("authorization", 11..23), ("user-agent", 24..29), ("x-forwarded-for", 30..39)] {
        let value = HeaderValue::from_maybe_shared(read.slice(place)).expect("a value");
        request.headers_mut().insert(name, value);
    }
    drop(read);
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    faulty.pause_appends();
    let answer = tokio::spawn(service.oneshot(request));
    faulty.until_paused(1).await;
    assert!(is_free.load(Ordering::Relaxed), "the request still has a part of it");
    faulty.resume_appends();
    assert_eq!(answer.await.expect("no panic").expect("infallible").status(), StatusCode::OK);
    assert_eq!(memory.events()[0].request.user_agent.as_deref(), Some("agent"));
    assert_eq!(memory.events()[0].request.forwarded.as_deref(), Some("192.0.2.1"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_whose_start_is_kept_late_is_ended() {
    let (log, faulty, memory) = faulty_log().await;
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    faulty.pause_appends();
    let answer = service.clone().oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(memory.events().is_empty(), "the store is still at it");
    faulty.resume_appends();
    log.close().await.expect("closing waits for the end");
    let [started] = &of_phase(&memory, Phase::Started)[..] else { panic!("{:?}", memory.events()) };
    let [completed] = &of_phase(&memory, Phase::Completed)[..] else { panic!("{:?}", memory.events()) };
    assert_eq!(answer.headers()["audit-event-id"], started.event_id.to_hex().as_str());
    assert_eq!(completed.request.started_event_id, Some(started.event_id));
    assert_eq!(completed.request.request_id, started.request.request_id);
    assert_eq!(completed.outcome, Some(503));
    assert_eq!(completed.classification.error.as_ref().map(|error| error.as_str()), Some("service-unavailable"));
    assert_eq!(completed.details["not_run"], true);
    assert_eq!((&completed.resource, &completed.actor), (&started.resource, &started.actor));
}

#[tokio::test(start_paused = true)]
async fn what_became_of_a_refused_start_is_asked_until_the_store_answers() {
    let (log, faulty, memory) = faulty_log().await;
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    // Each append may have been kept before its answer was lost.
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Transient)));
    let answer = service.clone().oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(DEADLINE * 10).await;
    faulty.set_fault(None);
    assert_eq!(service.oneshot(post("/scans")).await.expect("infallible").status(), StatusCode::OK);
    log.flush().await.expect("everything is settled");
    assert_eq!(of_phase(&memory, Phase::Started).len(), 1);
    let completed = of_phase(&memory, Phase::Completed);
    assert_eq!(completed.iter().filter(|event| event.details.contains_key("not_run")).count(), 1);
    assert_eq!(completed.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_in_bytes() {
    const EVENTS: usize = 600;
    let (log, faulty, memory) = faulty_log().await;
    faulty.pause_appends();
    let record = |bytes: usize| {
        let log = log.clone();
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details.insert("text".into(), vec!["x".repeat(4000); bytes / 4000].into());
        tokio::spawn(async move { log.record(event).await })
    };
    let mut tasks = vec![record(0)];
    faulty.until_paused(1).await;
    // 9.6 MB: more than a batch may have, in fewer events than a batch may have.
    tasks.extend((0..EVENTS).map(|_| record(16_000)));
    let_others_run().await;
    faulty.resume_appends();
    for task in tasks {
        task.await.expect("no panic").expect("recorded");
    }
    assert_eq!(memory.events().len(), EVENTS + 1);
    assert_eq!(faulty.appends(), 3, "the first event, 8 MiB, and the rest");
}

/// A handler that counts its runs.
fn counting(runs: &Arc<AtomicUsize>) -> tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, Infallible> {
    let runs = Arc::clone(runs);
    tower::util::BoxCloneSyncService::new(tower::service_fn(move |_request: Request<Body>| {
        runs.fetch_add(1, Ordering::Relaxed);
        async { Ok(response(StatusCode::FORBIDDEN)) }
    }))
}

/// Less than a tenth of the write timeout is left for the end: the handler is not called, and the log ends what was
/// started.
#[tokio::test(start_paused = true)]
async fn a_start_that_took_nearly_all_of_the_time_is_not_done() {
    for (took, status, runs_expected) in [(4400, 403, 1), (4600, 503, 0)] {
        let (log, faulty, memory) = faulty_log().await;
        let runs = Arc::default();
        let service = AuditLayer::new(&log, presets::ivre()).layer(counting(&runs));
        faulty.pause_appends();
        let answer = tokio::spawn(service.oneshot(delete("/auth/admin/users/bob")));
        faulty.until_paused(1).await;
        tokio::time::advance(Duration::from_millis(took)).await;
        faulty.resume_appends();
        let answer = answer.await.expect("no panic").expect("infallible");
        assert_eq!((answer.status().as_u16(), runs.load(Ordering::Relaxed)), (status, runs_expected));
        log.close().await.expect("everything is written");
        let [end] = &of_phase(&memory, Phase::Completed)[..] else { panic!("{:?}", memory.events()) };
        assert_eq!((end.outcome, end.details.contains_key("not_run")), (Some(status), runs_expected == 0));
        assert_eq!(end.request.started_event_id, Some(of_phase(&memory, Phase::Started)[0].event_id));
    }
}

/// The outer layer fails open, so it calls what is within it whatever time is left; the inner one has no write-ahead, and
/// refuses. The `started` event of the outer one is ended.
#[tokio::test(start_paused = true)]
async fn a_request_without_a_start_of_its_own_is_not_done_late() {
    let (log, faulty, memory) = faulty_log().await;
    let runs = Arc::default();
    let rule = |name| Rule::new(EventType::new(name).expect("a valid type")).paths(["/x"]);
    let policy = |rule| AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let inner = AuditLayer::new(&log, policy(rule("in.ner"))).layer(counting(&runs));
    let outer = policy(rule("out.er").write_ahead(true).fail_mode(FailMode::Open));
    let service = AuditLayer::new(&log, outer).layer(inner);
    faulty.pause_appends();
    let answer = tokio::spawn(service.oneshot(post("/x")));
    faulty.until_paused(1).await;
    tokio::time::advance(Duration::from_millis(4600)).await;
    faulty.resume_appends();
    let answer = answer.await.expect("no panic").expect("infallible");
    assert_eq!((answer.status(), runs.load(Ordering::Relaxed)), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(log.stats().rejected, 1);
    log.close().await.expect("everything is written");
    let [end] = &of_phase(&memory, Phase::Completed)[..] else { panic!("{:?}", memory.events()) };
    assert_eq!((end.outcome, &end.details["not_run"]), (Some(503), &true.into()));
    assert_eq!(end.request.started_event_id, Some(of_phase(&memory, Phase::Started)[0].event_id));
    assert_eq!(answer.headers()["audit-event-id"], end.event_id.to_string());
}

/// The `started` event has taken 4.4 of 5 seconds, and then the client leaves: its end may take four seconds more.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_request_without_a_client_has_the_whole_timeout() {
    let (log, faulty, memory) = faulty_log().await;
    let (finish, finished) = tokio::sync::watch::channel(false);
    let handler = tower::service_fn(move |_request: Request<Body>| {
        let mut finished = finished.clone();
        async move {
            finished.wait_for(|is_finished| *is_finished).await.expect("the test goes on");
            Ok::<_, Infallible>(response(StatusCode::OK))
        }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    faulty.pause_appends();
    let client = tokio::spawn(service.oneshot(delete("/auth/admin/users/bob")));
    faulty.until_paused(1).await;
    tokio::time::advance(Duration::from_millis(4400)).await;
    faulty.resume_appends();
    let_others_run().await;
    client.abort();
    let_others_run().await;
    faulty.pause_appends();
    finish.send_replace(true);
    faulty.until_paused(1).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    faulty.resume_appends();
    log.close().await.expect("everything is written");
    let [end] = &of_phase(&memory, Phase::Completed)[..] else { panic!("{:?}", memory.events()) };
    assert_eq!(end.outcome, Some(200));
}

/// A fail-open rule, in the same policy or in a layer around, does not open the write-ahead of a fail-closed one.
#[tokio::test(start_paused = true)]
async fn a_fail_open_rule_beside_a_fail_closed_one_lets_nothing_run() {
    let open = || Rule::new(EventType::new("a.note").expect("valid")).paths(["/auth/admin/{*rest}"]);
    let open = || open().write_ahead(true).fail_mode(FailMode::Open);
    let policy = |rules: Vec<Rule>| {
        let builder = rules.into_iter().fold(AuditPolicy::builder(), |builder, rule| builder.rule(rule));
        builder.build().expect("a valid policy")
    };
    for nested in [false, true] {
        for (fault, _) in LASTING {
            let (log, faulty, memory) = faulty_log().await;
            let runs = Arc::default();
            let answer = if nested {
                let inner = AuditLayer::new(&log, policy(vec![presets::ivre::admin_action()])).layer(counting(&runs));
                faulty.set_fault(Some(fault));
                AuditLayer::new(&log, policy(vec![open()]))
                    .layer(inner)
                    .oneshot(delete("/auth/admin/users/bob"))
                    .await
                    .map(|answer| answer.status())
            } else {
                let layer = AuditLayer::new(&log, policy(vec![open(), presets::ivre::admin_action()]));
                faulty.set_fault(Some(fault));
                layer
                    .layer(counting(&runs))
                    .oneshot(delete("/auth/admin/users/bob"))
                    .await
                    .map(|answer| answer.status())
            };
            assert_eq!(answer, Ok(StatusCode::SERVICE_UNAVAILABLE), "{fault:?}, nested: {nested}");
            assert_eq!((runs.load(Ordering::Relaxed), memory.events().len()), (0, 0), "{fault:?}, nested: {nested}");
        }
    }
}
