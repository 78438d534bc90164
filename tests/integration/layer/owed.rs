//! Events that no caller waits for: the log owes them until the store answers, and names those that are left.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::StoreErrorKind;
use tower_audit::{AuditEvent, AuditLayer, AuditPolicy, EventType, Phase, RecordWhen, Rule};

use crate::layer::scripted_store::{Append, Scripted, WRITE_TIMEOUT};
use crate::layer::support::{Body, answering, delete, let_others_run, of_phase, post, response};

fn policy(is_write_ahead: bool, is_body_end: bool) -> AuditPolicy {
    let rule = Rule::new(EventType::new("a.b").expect("a valid type")).when(RecordWhen::always()).paths(["/x"]);
    let rule = rule.write_ahead(is_write_ahead).body_end(is_body_end);
    AuditPolicy::builder().rule(rule).build().expect("a valid policy")
}

/// A handler that breaks the store, and takes so long.
fn breaking(
    store: Arc<Scripted>,
    duration: Duration,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send {
    tower::service_fn(move |_request: Request<Body>| {
        store.set_all(Append::Fails(StoreErrorKind::Transient));
        async move {
            tokio::time::sleep(duration).await;
            Ok(response(StatusCode::OK))
        }
    })
}

/// Drops the future after so long.
async fn hang_up<F: Future>(future: F, after: Duration) {
    assert!(tokio::time::timeout(after, future).await.is_err(), "it has been answered");
}

fn assert_ended(store: &Scripted) {
    let events = store.kept.events();
    for started in events.iter().filter(|event| event.phase == Phase::Started) {
        let ends = events.iter().filter(|event| event.request.started_event_id == Some(started.event_id));
        assert_eq!(ends.count(), 1, "{events:?}");
    }
}

/// Hung up while the handler runs, while the event waits for the store, and while the body is read.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_request_whose_client_has_gone_outlasts_an_outage() {
    for (is_write_ahead, is_body_end, hung_up_at) in
        [(false, false, 20), (true, false, 20), (false, false, 100), (true, false, 100), (true, true, 100)]
    {
        let case = format!("write-ahead {is_write_ahead}, at the end of the body {is_body_end}, at {hung_up_at} ms");
        let (log, store) = Scripted::log().await;
        let handler = breaking(store.clone(), Duration::from_millis(50));
        let service = AuditLayer::new(&log, policy(is_write_ahead, is_body_end)).layer(handler);
        let answer = async {
            let response = service.oneshot(post("/x")).await.expect("infallible");
            response.into_body().collect().await.expect("a body")
        };
        hang_up(answer, Duration::from_millis(hung_up_at)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(log.stats().owed, 1, "{case}");
        let error = log.health().await.expect_err("an event is owed");
        assert!(error.to_string().contains("1 events of requests whose clients have gone"), "{error}");
        store.set_all(Append::Keeps);
        log.flush().await.expect("everything is settled");
        assert_eq!(log.stats().owed, 0, "{case}");
        log.health().await.expect("nothing is owed");
        log.close().await.expect("nothing is left");
        let completed = of_phase(&store.kept, Phase::Completed);
        assert_eq!((completed.len(), completed[0].outcome), (1, Some(200)), "{case}");
        assert_ended(&store);
    }
}

/// The store takes 300 ms an append, and others keep it busy: the budget of a request is spent before its end.
#[tokio::test(start_paused = true)]
async fn a_slow_store_leaves_no_start_open() {
    let (log, store) = Scripted::log().await;
    store.set_all(Append::KeepsAfter(Duration::from_millis(300)));
    let busy = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..20 {
                let _ = log.record(AuditEvent::new(EventType::UPLOAD)).await;
            }
        }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    for at in 0..6 {
        hang_up(service.clone().oneshot(delete(&format!("/auth/admin/{at}"))), Duration::from_millis(100)).await;
    }
    busy.await.expect("no panic");
    log.close().await.expect("nothing is left");
    assert!(!of_phase(&store.kept, Phase::Started).is_empty());
    assert_ended(&store);
}

/// The `started` event has spent most of the time, and the client has gone.
#[tokio::test(start_paused = true)]
async fn an_end_with_too_little_time_is_written() {
    let (log, store) = Scripted::log().await;
    store.set_all(Append::KeepsAfter(Duration::from_millis(300)));
    let service =
        AuditLayer::new(&log, policy(true, false)).layer(tower::service_fn(|_request: Request<Body>| async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            Ok::<_, Infallible>(response(StatusCode::OK))
        }));
    hang_up(service.oneshot(post("/x")), Duration::from_millis(700)).await;
    log.close().await.expect("nothing is left");
    assert_eq!(store.kept.events().len(), 2);
    assert_ended(&store);
}

#[tokio::test(start_paused = true)]
async fn closing_names_the_ends_that_could_not_be_written() {
    let (log, store) = Scripted::log().await;
    let service = AuditLayer::new(&log, policy(true, false)).layer(breaking(store.clone(), Duration::from_millis(50)));
    for _ in 0..3 {
        store.set_all(Append::Keeps);
        hang_up(service.clone().oneshot(post("/x")), Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = Instant::now();
    let error = log.close().await.expect_err("three ends are not written");
    assert!(begun.elapsed() <= WRITE_TIMEOUT + Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!(error.owed_events().len(), 3, "{error}");
    for id in error.owed_events() {
        assert!(error.to_string().contains(&id.to_string()), "{error}");
    }
    // Nothing goes on after the close.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let retries = log.stats().retries;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.stats().retries, retries);
}

/// An event that the store fails "for now", for ever: its own caller is refused, and no other.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_taken_stops_no_other() {
    for is_write_ahead in [false, true] {
        let (log, store) = Scripted::log().await;
        let is_bad = |event: &AuditEvent| event.request.user_agent.as_deref() == Some("bad");
        store.set(
            move |events| {
                if events.iter().any(is_bad) { Append::Fails(StoreErrorKind::Transient) } else { Append::Keeps }
            },
        );
        let service = AuditLayer::new(&log, policy(is_write_ahead, false)).layer(answering(StatusCode::OK));
        let send = |is_bad: bool| {
            let mut request = post("/x");
            let agent = if is_bad { "bad" } else { "good" };
            request.headers_mut().insert("user-agent", http::HeaderValue::from_static(agent));
            let service = service.clone();
            async move {
                let begun = Instant::now();
                let status = service.oneshot(request).await.expect("infallible").status();
                assert!(begun.elapsed() <= WRITE_TIMEOUT + Duration::from_millis(100), "{:?}", begun.elapsed());
                status
            }
        };
        // In one batch with others, and beside them.
        let answers = futures_util::future::join_all((0..100).map(|at| send(at == 37))).await;
        let refused = answers.iter().filter(|status| **status != StatusCode::OK).count();
        assert_eq!(refused, 1, "write-ahead {is_write_ahead}: {answers:?}");
        // While the log still owes the bad one, and while another caller waits for one.
        let again = tokio::spawn(send(true));
        let_others_run().await;
        for _ in 0..20 {
            assert_eq!(send(false).await, StatusCode::OK, "write-ahead {is_write_ahead}");
        }
        assert_ne!(again.await.expect("no panic"), StatusCode::OK);
        let closed = log.close().await;
        // The `started` event may be kept: nobody knows.
        let owed = closed.err().map_or(0, |error| error.owed_events().len());
        assert_eq!(owed, if is_write_ahead { 2 } else { 0 });
    }
}

/// Bad ends of requests without a client: the good ones among them are written.
#[tokio::test(start_paused = true)]
async fn a_bad_event_among_those_that_are_owed_holds_up_none_of_them() {
    let (log, store) = Scripted::log().await;
    let service = AuditLayer::new(&log, policy(false, false)).layer(breaking(store.clone(), Duration::from_millis(50)));
    for at in 0..64 {
        let mut request = post("/x");
        let agent = if at % 20 == 7 { "bad" } else { "good" };
        request.headers_mut().insert("user-agent", http::HeaderValue::from_static(agent));
        hang_up(service.clone().oneshot(request), Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.stats().owed, 64);
    let is_bad = |event: &AuditEvent| event.request.user_agent.as_deref() == Some("bad");
    store.set(
        move |events| {
            if events.iter().any(is_bad) { Append::Fails(StoreErrorKind::Transient) } else { Append::Keeps }
        },
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((log.stats().owed, store.kept.events().len()), (3, 61));
}

/// An event that the store rejects for good, among others that the log owes: it alone is lost, and named.
#[tokio::test(start_paused = true)]
async fn an_owed_event_that_is_rejected_takes_no_other_with_it() {
    let (log, store) = Scripted::log().await;
    let service = AuditLayer::new(&log, policy(false, false)).layer(breaking(store.clone(), Duration::from_millis(50)));
    for at in 0..16 {
        let mut request = post("/x");
        let agent = if at == 5 { "bad" } else { "good" };
        request.headers_mut().insert("user-agent", http::HeaderValue::from_static(agent));
        hang_up(service.clone().oneshot(request), Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((log.stats().owed, log.stats().failed), (16, 0));
    let is_bad = |event: &AuditEvent| event.request.user_agent.as_deref() == Some("bad");
    store.set(
        move |events| {
            if events.iter().any(is_bad) { Append::Fails(StoreErrorKind::Permanent) } else { Append::Keeps }
        },
    );
    log.flush().await.expect("everything is settled");
    let stats = log.stats();
    assert_eq!((stats.owed, stats.failed, stats.written, store.kept.events().len()), (0, 1, 15, 15));
    log.close().await.expect("nothing is left");
}

/// While the store fails, an owed event is tried once a second, and less often if the failure takes long: the store's
/// time is the callers'.
#[tokio::test(start_paused = true)]
async fn what_is_owed_is_tried_again_after_a_pause() {
    for (append, tries) in
        [(Append::Fails(StoreErrorKind::Transient), 55..=75), (Append::FailsAfter(Duration::from_secs(2)), 5..=8)]
    {
        let (log, store) = Scripted::log().await;
        let service =
            AuditLayer::new(&log, policy(false, false)).layer(breaking(store.clone(), Duration::from_millis(50)));
        hang_up(service.oneshot(post("/x")), Duration::from_millis(20)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(log.stats().owed, 1);
        let counted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&counted);
        store.set(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            append
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        let counted = counted.load(Ordering::Relaxed);
        assert!(tries.contains(&counted), "{append:?}: {counted} tries");
    }
}

/// While events of callers wait, what is owed waits a tenth of a second more, and no longer.
#[tokio::test(start_paused = true)]
async fn what_is_owed_lets_callers_go_first_for_a_tenth_of_a_second() {
    let (log, store) = Scripted::log().await;
    let service = AuditLayer::new(&log, policy(false, false)).layer(breaking(store.clone(), Duration::from_millis(50)));
    hang_up(service.oneshot(post("/x")), Duration::from_millis(20)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(log.stats().owed, 1);
    let tries = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tries);
    store.set(move |events| {
        if events.iter().all(|event| event.event_type == EventType::UPLOAD) {
            return Append::KeepsAfter(Duration::from_millis(5));
        }
        seen.lock().expect("no panic").push(Instant::now());
        Append::Fails(StoreErrorKind::Transient)
    });
    // The pause between two tries is a second by now.
    for (clients, pauses) in [(0, 1000..=1005), (16, 1100..=1110)] {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let log = log.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(client)).await;
                    loop {
                        log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("it is written");
                    }
                })
            })
            .collect();
        // The first of them began before, or its pause did.
        tokio::time::sleep(Duration::from_secs(2)).await;
        tries.lock().expect("no panic").clear();
        tokio::time::sleep(Duration::from_secs(10)).await;
        clients.iter().for_each(tokio::task::JoinHandle::abort);
        let tries = std::mem::take(&mut *tries.lock().expect("no panic"));
        assert!(tries.len() >= 8, "{tries:?}");
        for two in tries.windows(2) {
            let pause = (two[1] - two[0]).as_millis();
            assert!(pauses.contains(&pause), "{pause} ms, expected {pauses:?}");
        }
    }
}

/// The store has the `started` event, its answer was lost, and the next try fails for good: 503, and an end.
#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_was_lost_is_ended() {
    let (log, store) = Scripted::log().await;
    let appends = AtomicUsize::new(0);
    store.set(move |_| match appends.fetch_add(1, Ordering::Relaxed) {
        0 => Append::KeepsAndFails,
        1 => Append::Fails(StoreErrorKind::Permanent),
        _ => Append::Keeps,
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    let answer = service.oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    log.close().await.expect("nothing is left");
    assert_eq!(store.kept.events().len(), 2);
    assert_ended(&store);
}

/// The handler of a request whose client has gone waits for what it asks of an audited service of its own process.
#[tokio::test(start_paused = true)]
async fn a_request_of_a_detached_handler_is_answered_after_its_event() {
    let (log, store) = Scripted::log().await;
    let inner = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    let (kept, answers) = (store.kept.clone(), Arc::new(Mutex::new(None)));
    let seen = Arc::clone(&answers);
    let handler = tower::service_fn(move |_request: Request<Body>| {
        let (inner, kept, seen) = (inner.clone(), kept.clone(), Arc::clone(&seen));
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let status = inner.oneshot(post("/scans")).await.expect("infallible").status();
            *seen.lock().expect("no panic") = Some((status, kept.events().len()));
            Ok::<_, Infallible>(response(StatusCode::OK))
        }
    });
    let service = AuditLayer::new(&log, policy(false, false)).layer(handler);
    store.set_all(Append::KeepsAfter(Duration::from_millis(100)));
    hang_up(service.oneshot(post("/x")), Duration::from_millis(20)).await;
    log.close().await.expect("nothing is left");
    assert_eq!(*answers.lock().expect("no panic"), Some((StatusCode::OK, 1)));
    assert_eq!(store.kept.events().len(), 2);
}

/// The worker never waits for an event, and the store serves one append at a time: the next event is accepted all the same.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_never_idle_is_healthy() {
    let (log, store) = Scripted::log().await;
    store.set_all(Append::KeepsAfter(Duration::from_millis(5)));
    let clients = (0..16).map(|client| {
        let log = log.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(client)).await;
            for _ in 0..200 {
                log.record(AuditEvent::new(EventType::UPLOAD)).await.expect("it is written");
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..3 {
        let begun = Instant::now();
        log.health().await.expect("it is healthy");
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    }
    assert!(clients.iter().all(|client| !client.is_finished()), "the log was busy all the time");
    for client in clients {
        client.await.expect("no panic");
    }
    // The load has ended while a check was looking.
    log.health().await.expect("it is healthy");
}
