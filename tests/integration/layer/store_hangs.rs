//! Stores and runtimes that hang or are gone: each request is answered in time, nothing piles up, closing ends, and the
//! log recovers.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, MemoryStore, OrphanRecovery, Parts, StoreError, StoreErrorKind, StoreFuture,
};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, EventId, EventType, Phase, RecordError};

use tower_audit::writer::RecordErrorKind;

use crate::layer::support::{Body, answering, delete, let_others_run, of_phase, post, response};

const DEADLINE: Duration = Duration::from_secs(5);
const IN_TIME: Duration = Duration::from_millis(5100);

/// A call to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Append,
    Maintain,
    Health,
    Close,
    Orphans,
}

/// A store of which one call hangs for as long as the test likes.
#[derive(Debug)]
struct Hanging {
    kept: MemoryStore,
    /// The maximum number of concurrent appends.
    parallel: usize,
    hangs: watch::Sender<Option<Call>>,
    /// As on SQLite, appends and the housekeeping share the only connection that writes.
    connection: tokio::sync::Mutex<()>,
    calls: AtomicUsize,
    /// The ids of what was kept, in the order of the appends.
    order: Mutex<Vec<EventId>>,
    /// Makes `maintain` report damage.
    damage: watch::Sender<bool>,
    /// The number of recoveries that fail for now.
    conflicts: AtomicUsize,
}

impl Hanging {
    fn new(hangs: Option<Call>) -> Arc<Self> {
        Self::with_parallel(1, hangs)
    }

    fn with_parallel(parallel: usize, hangs: Option<Call>) -> Arc<Self> {
        let (hangs, damage) = (watch::Sender::new(hangs), watch::Sender::new(false));
        let (calls, conflicts) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (connection, order) = (tokio::sync::Mutex::default(), Mutex::default());
        Arc::new(Self { kept: MemoryStore::new(), parallel, hangs, connection, calls, order, damage, conflicts })
    }

    async fn log() -> (AuditLog, Arc<Self>) {
        let store = Self::new(None);
        let log = AuditLog::builder().store(store.clone()).queue_limits(50, 1 << 20).open().await.expect("it opens");
        (log, store)
    }

    fn set(&self, hangs: Option<Call>) {
        self.hangs.send_replace(hangs);
    }

    async fn pass(&self, call: Call) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut hangs = self.hangs.subscribe();
        let _ = hangs.wait_for(|hangs| *hangs != Some(call)).await;
    }
}

impl AuditStore for Hanging {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new("hanging");
        capabilities.max_parallel_appends = self.parallel;
        capabilities
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.pass(Call::Append).await;
            let _connection = self.connection.lock().await;
            self.order.lock().expect("no panic").extend(events.iter().map(|event| event.event_id));
            self.kept.append(events).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.pass_ok(Call::Health))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async {
            let _connection = self.connection.lock().await;
            self.pass(Call::Maintain).await;
            if *self.damage.borrow() {
                return Err(
                    StoreError::new(StoreErrorKind::Corrupt, "hanging", "maintenance").with_source("a page is gone")
                );
            }
            Ok(false)
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.pass_ok(Call::Close))
    }

    fn parts(&self) -> Parts<'_> {
        Parts { recovery: Some(self), ..Parts::NONE }
    }
}

impl Hanging {
    async fn pass_ok(&self, call: Call) -> Result<(), StoreError> {
        self.pass(call).await;
        Ok(())
    }
}

impl OrphanRecovery for Hanging {
    fn recover<'a>(&'a self, _close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync)) -> StoreFuture<'a, u64> {
        Box::pin(async {
            self.pass(Call::Orphans).await;
            match self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                Ok(_) => Err(StoreError::new(StoreErrorKind::Transient, "hanging", "recovery")),
                Err(_) => Ok(0),
            }
        })
    }
}

fn record(log: &AuditLog) -> JoinHandle<Result<EventId, RecordError>> {
    let log = log.clone();
    tokio::spawn(async move { log.record(AuditEvent::new(EventType::UPLOAD)).await })
}

/// Answers to an upload and to an admin action, which have to come in time.
async fn answers(log: &AuditLog) -> [StatusCode; 2] {
    let service = AuditLayer::new(log, presets::ivre()).layer(answering(StatusCode::OK));
    let begun = Instant::now();
    let requests = [post("/scans"), delete("/auth/admin/users/bob")].map(|request| service.clone().oneshot(request));
    let answers = futures_util::future::join_all(requests).await;
    assert!(begun.elapsed() <= IN_TIME, "{:?}", begun.elapsed());
    let mut answers = answers.into_iter().map(|answer| answer.expect("infallible").status());
    std::array::from_fn(|_| answers.next().expect("two"))
}

const OK: [StatusCode; 2] = [StatusCode::OK; 2];
const REFUSED: [StatusCode; 2] = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];

#[tokio::test(start_paused = true)]
async fn whatever_hangs_in_the_store_costs_a_request_its_deadline_and_no_more() {
    for call in [Call::Append, Call::Maintain, Call::Health] {
        let (log, store) = Hanging::log().await;
        assert_eq!(answers(&log).await, OK);
        store.set(Some(call));
        // The housekeeping begins.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let hangs_writes = call != Call::Health;
        let expected = if hangs_writes { REFUSED } else { OK };
        for _ in 0..3 {
            assert_eq!(answers(&log).await, expected, "{call:?}");
        }
        let begun = Instant::now();
        log.health().await.expect_err("the next event would not be accepted");
        assert!(begun.elapsed() <= IN_TIME, "{call:?}: {:?}", begun.elapsed());
        if hangs_writes {
            assert_eq!(log.flush().await.expect_err("it hangs").kind(), RecordErrorKind::Timeout);
            assert!(begun.elapsed() <= IN_TIME * 2, "{call:?}: {:?}", begun.elapsed());
        }
        store.set(None);
        // Nobody has to do anything.
        assert_eq!(answers(&log).await, OK, "{call:?}");
        log.health().await.expect("it is well again");
        log.flush().await.expect("everything is settled");
        log.close().await.expect("nothing is left");
        let completed = of_phase(&store.kept, Phase::Completed);
        let started = of_phase(&store.kept, Phase::Started);
        let ended = completed.iter().filter(|event| event.request.started_event_id.is_some()).count();
        assert_eq!(started.len(), ended, "{call:?}: what was started is ended");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_while_the_store_hangs_is_bounded() {
    let (log, store) = Hanging::log().await;
    store.set(Some(Call::Append));
    for _ in 0..10 {
        let recordings: Vec<_> = (0..500).map(|_| record(&log)).collect();
        let_others_run().await;
        assert!(log.stats().queued <= 50);
        assert!(log.stats().at_store <= 50);
        let begun = Instant::now();
        for recording in recordings {
            recording.await.expect("no panic").expect_err("it hangs");
        }
        assert!(begun.elapsed() <= IN_TIME);
    }
    assert_eq!(store.calls.load(Ordering::Relaxed), 3, "two to open, and one append that hangs");
    let stats = log.stats();
    assert_eq!((stats.queued, stats.timed_out + stats.rejected), (0, 5000));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_and_names_what_is_left() {
    for call in [Call::Append, Call::Maintain, Call::Close] {
        let (log, store) = Hanging::log().await;
        record(&log).await.expect("no panic").expect("recorded");
        store.set(Some(call));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let recordings: Vec<_> = (0..3).map(|_| record(&log)).collect();
        let_others_run().await;
        let begun = Instant::now();
        let error = log.close().await.expect_err("something hangs");
        assert!(begun.elapsed() <= IN_TIME * 2, "{call:?}: {:?}", begun.elapsed());
        let text = error.to_string();
        if call == Call::Close {
            assert!(error.store_error().is_some() && text.contains("it took too long"), "{text}");
            continue;
        }
        assert_eq!((error.unwritten_events(), error.unanswered_events(), error.queued_events()), (3, 3, 0), "{text}");
        assert!(text.contains("events are at the store, which has not answered: 3"), "{text}");
        for recording in recordings {
            recording.await.expect("no panic").expect_err("it hangs");
        }
    }
}

/// The append waits for the connection that the housekeeping has; the housekeeping waits for another process's lock.
#[tokio::test(start_paused = true)]
async fn closing_goes_on_with_the_housekeeping_that_an_append_waits_for() {
    for parallel in [1, 2] {
        let store = Hanging::with_parallel(parallel, None);
        let log = AuditLog::builder().store(store.clone()).open().await.expect("it opens");
        record(&log).await.expect("no panic").expect("recorded");
        store.set(Some(Call::Maintain));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let recording = record(&log);
        let_others_run().await;
        let closing = tokio::spawn(async move { log.close().await });
        let_others_run().await;
        store.set(None);
        closing.await.expect("no panic").expect("nothing is left");
        recording.await.expect("no panic").expect("recorded");
    }
}

#[tokio::test(start_paused = true)]
async fn closing_has_the_time_that_the_app_gives_it() {
    let store = Hanging::new(None);
    let limit = Duration::from_secs(2);
    let log = AuditLog::builder().store(store.clone()).close_timeout(limit).open().await.expect("it opens");
    store.set(Some(Call::Append));
    let recording = record(&log);
    let handler = tower::service_fn(|_request: Request<Body>| std::future::pending::<Result<_, Infallible>>());
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler.map_response(|()| response(StatusCode::OK)));
    drop(tokio::spawn(service.oneshot(post("/scans"))));
    let_others_run().await;
    let begun = Instant::now();
    let error = log.close().await.expect_err("everything hangs");
    assert!(begun.elapsed() <= 3 * limit + Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!((error.unfinished_requests(), error.unanswered_events()), (1, 1), "{error}");
    recording.await.expect("no panic").expect_err("it hangs");
}

#[tokio::test(start_paused = true)]
async fn opening_ends_whatever_hangs() {
    for call in [Call::Health, Call::Orphans] {
        let begun = Instant::now();
        let error = AuditLog::builder().store(Hanging::new(Some(call))).open().await.expect_err("it hangs");
        assert!(begun.elapsed() <= DEADLINE * 4 + Duration::from_millis(100), "{call:?}: {:?}", begun.elapsed());
        assert!(format!("{error:?}").contains("did not answer within 20s"), "{error:?}");
    }
}

/// Two instances that start together close the same orphans, and a database ends one of the two.
#[tokio::test(start_paused = true)]
async fn opening_tries_again_to_close_orphans() {
    let store = Hanging::new(None);
    store.conflicts.store(2, Ordering::Relaxed);
    AuditLog::builder().store(store.clone()).open().await.expect("the third try succeeds");
    store.conflicts.store(usize::MAX, Ordering::Relaxed);
    let error = AuditLog::builder().store(store).open().await.expect_err("each try fails");
    assert!(format!("{error:?}").contains("recovery"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn no_deadline_is_too_long() {
    let builder =
        AuditLog::builder().store(Hanging::new(None)).write_timeout(Duration::MAX).close_timeout(Duration::MAX);
    let log = builder.detached(1, Some(Duration::MAX)).open().await.expect("it opens");
    assert_eq!(answers(&log).await, OK);
    log.health().await.expect("it is well");
    log.flush().await.expect("everything is settled");
    log.close().await.expect("nothing is left");
}

#[tokio::test(start_paused = true)]
async fn damage_that_the_housekeeping_meets_fails_the_health_check() {
    let (log, store) = Hanging::log().await;
    store.damage.send_replace(true);
    record(&log).await.expect("no panic").expect("recorded");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = log.health().await.expect_err("it is damaged");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(std::error::Error::source(&error).expect("a cause").to_string().contains("a page is gone"));
    // An instance that is not healthy may get no events. It is healthy again once the store is, all the same.
    tokio::time::sleep(Duration::from_secs(60)).await;
    log.health().await.expect_err("it is damaged still");
    store.damage.send_replace(false);
    tokio::time::sleep(Duration::from_secs(6)).await;
    log.health().await.expect("it is mended");
}

/// A runtime that may be ended while another one runs.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Asserts that a log fails in time after its runtime has ended. `is_gone`: this is known before a handler is called.
async fn assert_errors(log: AuditLog, is_gone: bool) {
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    let begun = std::time::Instant::now();
    let answers = [post("/scans"), delete("/auth/admin/users/bob")].map(|request| service.clone().oneshot(request));
    let answers = futures_util::future::join_all(answers).await;
    let statuses: Vec<_> = answers.into_iter().map(|answer| answer.expect("infallible").status()).collect();
    // Where it is known beforehand that nothing can be written, no handler is called.
    assert_eq!(statuses, if is_gone { [StatusCode::SERVICE_UNAVAILABLE; 2] } else { REFUSED });
    log.record(AuditEvent::new(EventType::UPLOAD)).await.expect_err("nobody writes");
    log.flush().await.expect_err("nobody writes");
    log.health().await.expect_err("nobody writes");
    let error = log.close().await.expect_err("nobody writes");
    assert!(error.is_stopped() || error.queued_events() > 0, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

fn short(store: Arc<Hanging>) -> tower_audit::AuditLogBuilder {
    AuditLog::builder().store(store).write_timeout(Duration::from_millis(100)).close_timeout(Duration::from_millis(100))
}

#[test]
fn a_log_whose_runtime_has_ended_is_an_error_and_no_wait() {
    let first = runtime();
    let log = first.block_on(short(Hanging::new(None)).open()).expect("it opens");
    drop(first);
    runtime().block_on(assert_errors(log.clone(), true));
    // Without any runtime.
    futures_util::FutureExt::now_or_never(log.record(AuditEvent::new(EventType::UPLOAD)))
        .expect("it is known at once")
        .expect_err("nobody writes");
}

#[test]
fn a_log_whose_runtime_is_not_driven_is_an_error_and_no_wait() {
    let first = runtime();
    let log = first.block_on(short(Hanging::new(None)).open()).expect("it opens");
    runtime().block_on(assert_errors(log, false));
}

#[test]
fn outside_of_tokio_nothing_waits_for_ever() {
    let first = runtime();
    let log = first.block_on(short(Hanging::new(None)).queue_limits(1, 1 << 20).open()).expect("it opens");
    // The runtime is not driven: the first waits in the queue, the second for room in it.
    let (one, two) = (log.clone(), log.clone());
    let waiters = [one, two].map(|log| {
        std::thread::spawn(move || block_on(async move { log.record(AuditEvent::new(EventType::UPLOAD)).await }))
    });
    for waiter in waiters {
        waiter.join().expect("no panic").expect_err("nobody writes");
    }
    block_on(assert_errors(log, false));
}

/// Drives a future on this thread, without tokio.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_ends_while_requests_wait_tells_them() {
    let (log, store) = std::thread::spawn(|| {
        let first = runtime();
        let store = Hanging::new(None);
        let log = first.block_on(AuditLog::builder().store(store.clone()).open()).expect("it opens");
        store.set(Some(Call::Append));
        first.block_on(async {
            let _under_way = record(&log);
            let_others_run().await;
        });
        (log, (store, first))
    })
    .join()
    .expect("no panic");
    let recording = record(&log);
    let_others_run().await;
    std::thread::spawn(move || drop(store)).join().expect("no panic");
    let error = recording.await.expect("no panic").expect_err("its writer is gone");
    assert_eq!(error.kind(), RecordErrorKind::Stopped, "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_is_not_overtaken() {
    let store = Hanging::new(None);
    let log = AuditLog::builder()
        .store(store.clone())
        .queue_limits(1, 1 << 20)
        .max_batch_events(1)
        .open()
        .await
        .expect("it opens");
    store.set(Some(Call::Append));
    let mut ids = Vec::new();
    let mut recordings = Vec::new();
    for _ in 0..20 {
        let event = AuditEvent::new(EventType::UPLOAD);
        ids.push(event.event_id);
        let log = log.clone();
        recordings.push(tokio::spawn(async move { log.record(event).await }));
        let_others_run().await;
    }
    store.set(None);
    // Others come while there is room now and then.
    for _ in 0..20 {
        recordings.push(record(&log));
        tokio::task::yield_now().await;
    }
    for recording in recordings {
        recording.await.expect("no panic").expect("recorded");
    }
    assert_eq!(store.order.lock().expect("no panic")[..20], ids);
    assert_eq!(log.stats().written, 40);
}

#[tokio::test(start_paused = true)]
async fn handlers_whose_client_has_gone_are_counted_and_bounded() {
    let memory = MemoryStore::new();
    let log = AuditLog::builder().store(Arc::new(memory.clone()));
    let log = log.detached(2, Some(Duration::from_secs(60))).open().await.expect("it opens");
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    let hang_up = || {
        let service = service.clone();
        async move { tokio::time::timeout(Duration::from_millis(1), service.oneshot(post("/scans"))).await.is_err() }
    };
    for _ in 0..2 {
        assert!(hang_up().await);
    }
    let_others_run().await;
    assert_eq!((log.stats().detached, log.stats().abandoned), (2, 0));
    assert!(hang_up().await, "one too many");
    let_others_run().await;
    log.flush().await.expect("everything is settled");
    assert_eq!((log.stats().detached, log.stats().abandoned), (2, 1));
    assert_eq!(memory.events().len(), 1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    log.flush().await.expect("everything is settled");
    assert_eq!((log.stats().detached, log.stats().abandoned), (0, 3));
    log.close().await.expect("no request runs");
    let events = memory.events();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.details["aborted"] == true && event.outcome.is_none()), "{events:?}");
}

/// Nested layers of a log: the handler has one limit, not one for each of them.
#[tokio::test(start_paused = true)]
async fn a_handler_within_several_layers_has_one_limit() {
    for (requests, seconds) in [(1, 60), (0, 0)] {
        let memory = MemoryStore::new();
        let log = AuditLog::builder().store(Arc::new(memory.clone()));
        let log = log.detached(requests, Some(Duration::from_secs(60))).open().await.expect("it opens");
        let handler = tower::service_fn(|_request: Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok::<_, Infallible>(response(StatusCode::OK))
        });
        let layer = || AuditLayer::new(&log, presets::ivre());
        let service = layer().layer(layer().layer(layer().layer(handler)));
        assert!(tokio::time::timeout(Duration::from_millis(1), service.oneshot(post("/scans"))).await.is_err());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        log.flush().await.expect("everything is settled");
        assert_eq!((log.stats().detached, log.stats().abandoned), (0, 1), "{requests}");
        let events = memory.events();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((&events[0].details["aborted"], events[0].outcome), (&true.into(), None));
        log.close().await.expect("no request runs");
    }
}

/// It has come to its end: nothing has dropped it before.
#[tokio::test(start_paused = true)]
async fn a_panic_after_the_client_has_gone_is_an_outcome_and_abandons_nothing() {
    let memory = MemoryStore::new();
    let log = AuditLog::builder().store(Arc::new(memory.clone())).open().await.expect("it opens");
    let handler = tower::service_fn(|_request: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if true {
            panic!("as the test says");
        }
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    assert!(tokio::time::timeout(Duration::from_millis(1), service.oneshot(post("/scans"))).await.is_err());
    tokio::time::sleep(Duration::from_secs(2)).await;
    log.close().await.expect("no request runs");
    assert_eq!((log.stats().detached, log.stats().abandoned), (0, 0));
    let events = memory.events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].outcome, &events[0].details["panic"]), (Some(500), &true.into()), "{events:?}");
}

/// The waker is the code of whatever polls the request.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_costs_nobody_else_an_answer() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as the test says");
        }
    }

    let (log, store) = Hanging::log().await;
    let waker = std::task::Waker::from(Arc::new(Panics));
    let mut cx = std::task::Context::from_waker(&waker);
    for hangs in [None, Some(Call::Append)] {
        store.set(Some(Call::Append));
        let first = record(&log);
        let_others_run().await;
        // In one batch: between two others.
        let mut recordings = vec![record(&log)];
        let_others_run().await;
        let mut panicking = Box::pin(log.record(AuditEvent::new(EventType::UPLOAD)));
        assert!(panicking.as_mut().poll(&mut cx).is_pending());
        recordings.push(record(&log));
        let_others_run().await;
        store.set(hangs);
        recordings.push(first);
        for recording in recordings {
            assert_eq!(recording.await.expect("no panic").is_ok(), hangs.is_none());
        }
        store.set(None);
        assert_eq!(answers(&log).await, OK);
    }
    log.close().await.expect("nothing is left");
}

/// Nothing is locked while a caller is woken: a waker may be the code of an executor that polls at once.
#[test]
fn a_waker_may_use_the_log() {
    struct Looks(AuditLog);
    impl std::task::Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.0.stats();
        }
    }

    // A thread of its own: if it never ends, the test does.
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let (log, store) = Hanging::log().await;
            store.set(Some(Call::Append));
            let under_way = record(&log);
            let_others_run().await;
            let waker = std::task::Waker::from(Arc::new(Looks(log.clone())));
            let mut waits = Box::pin(log.record(AuditEvent::new(EventType::UPLOAD)));
            assert!(waits.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
            under_way.await.expect("no panic").expect_err("the store hangs");
            let_others_run().await;
            assert_eq!(waits.await.expect_err("the store hangs").kind(), RecordErrorKind::Timeout);
        });
        done.send(()).expect("it is waited for");
    });
    is_done.recv_timeout(Duration::from_secs(60)).expect("no deadlock, and no panic");
}
