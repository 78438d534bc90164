//! Checks of events in an app's own transactions, for every database that an app can share with its log. A test binary
//! that includes this file names its database in the module `database`.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::{Router, routing};
use sqlx::Transaction;
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use tower_audit::policy::presets;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::writer::RecordErrorKind;
use tower_audit::{
    AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventId, EventType, Phase, RecordError, RecordWhen,
};

use super::database::{Backing, Db, EFFECT, Pool};

/// The fate of a request's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Commits,
    /// Committed, and then the answer is another one.
    CommitsAndFails,
    RollsBack,
    Drops,
    Panics,
    /// Rolled back as far as a savepoint before the event.
    RollsBackInside,
    /// Written, rolled back, written in a second transaction and committed.
    TriesAgain,
    /// The transaction is sent through the channel.
    GivesAway,
}

#[derive(Clone)]
struct App {
    pool: Pool,
    course: Course,
    given: mpsc::UnboundedSender<Transaction<'static, Db>>,
    /// The number in its effect and its event.
    n: i32,
}

type Taken = mpsc::UnboundedReceiver<Transaction<'static, Db>>;

fn app(backing: &Backing, log: &AuditLog, course: Course) -> (Router, Taken) {
    numbered(backing, log, course, 7)
}

fn numbered(backing: &Backing, log: &AuditLog, course: Course, n: i32) -> (Router, Taken) {
    let (given, taken) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/scans", routing::post(handle))
        .route("/auth/admin/users", routing::delete(handle))
        .route("/unnamed", routing::put(declare))
        .layer(AuditLayer::new(log, presets::ivre()))
        .with_state(App { pool: backing.pool.clone(), course, given, n });
    (app, taken)
}

async fn declare(app: State<App>, audit: AuditContext) -> Result<StatusCode, StatusCode> {
    audit.event_type(EventType::new("thing.put").expect("a valid type"));
    handle(app, audit).await
}

async fn handle(State(app): State<App>, audit: AuditContext) -> Result<StatusCode, StatusCode> {
    audit.expect_status(StatusCode::CREATED).detail("n", app.n);
    match change(&app, &audit).await {
        Ok(status) => Ok(status),
        Err(error) => {
            eprintln!("the handler fails: {error}: {:?}", error.source().map(ToString::to_string));
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

async fn change(app: &App, audit: &AuditContext) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
    let mut tx = app.pool.begin().await?;
    sqlx::query(EFFECT).bind(app.n).execute(&mut *tx).await?;
    if app.course == Course::RollsBackInside {
        use sqlx::Acquire as _;
        let mut inside = tx.begin().await?;
        audit.record_in(&mut inside).await?;
        inside.rollback().await?;
        tx.rollback().await?;
        return Ok(StatusCode::OK);
    }
    let id = audit.record_in(&mut tx).await?;
    match app.course {
        Course::Commits => tx.commit().await?,
        Course::CommitsAndFails => {
            tx.commit().await?;
            return Ok(StatusCode::BAD_GATEWAY);
        }
        Course::RollsBack => {
            tx.rollback().await?;
            return Err(format!("rolled back {id}").into());
        }
        Course::Drops => return Err("dropped".into()),
        Course::Panics => panic!("on purpose"),
        Course::TriesAgain => {
            let twice = audit.record_in(&mut *tx).await.expect_err("once in a transaction");
            assert_eq!(twice.kind(), RecordErrorKind::AlreadyRecorded);
            drop(tx);
            let mut tx = app.pool.begin().await?;
            sqlx::query(EFFECT).bind(app.n).execute(&mut *tx).await?;
            assert_eq!(audit.detail("n", 8).record_in(&mut *tx).await?, id);
            tx.commit().await?;
            let mut tx = app.pool.begin().await?;
            let twice = audit.record_in(&mut tx).await.expect_err("it is committed");
            assert_eq!(twice.kind(), RecordErrorKind::AlreadyRecorded);
        }
        Course::GivesAway => app.given.send(tx).map_err(|_| "nobody takes it")?,
        Course::RollsBackInside => unreachable!("it has returned"),
    }
    Ok(StatusCode::CREATED)
}

fn request(method: &str, path: &str) -> Request<axum::body::Body> {
    Request::builder().method(method).uri(path).body(axum::body::Body::empty()).expect("a valid request")
}

const REQUESTS: [(&str, &str, usize); 3] =
    [("POST", "/scans", 0), ("DELETE", "/auth/admin/users", 1), ("PUT", "/unnamed", 0)];

async fn events(log: &AuditLog) -> Vec<AuditEvent> {
    let reader = log.store().and_then(|store| store.parts().reader).expect("the store is read");
    reader.query(&PageQuery::new(Filter::default(), 1_000)).await.expect("it is read")
}

async fn completed(log: &AuditLog) -> Vec<AuditEvent> {
    events(log).await.into_iter().filter(|event| event.phase == Phase::Completed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_recorded_once_and_the_layer_writes_none() {
    for (method, path, started) in REQUESTS {
        let backing = Backing::new().await;
        let log = backing.log().await;
        let (app, _) = app(&backing, &log, Course::Commits);
        let answer = app.oneshot(request(method, path)).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
        assert_eq!(backing.effects().await, 1);
        let events = events(&log).await;
        assert_eq!(events.len(), 1 + started, "{path}");
        let event = &events[0];
        assert_eq!(event.outcome, Some(201));
        assert_eq!(event.details["n"], 7);
        assert_eq!(event.resource.route.as_deref(), Some(path));
        assert_eq!(event.resource.method.as_deref(), Some(method));
        assert_eq!(event.request.started_event_id, events.get(1).map(|started| started.event_id));
        assert!(event.request.request_id.is_some());
        let stats = log.stats();
        assert_eq!((stats.written, stats.transactional, stats.status_mismatches), (started as u64, 1, 0), "{path}");
        assert_eq!(backing.open_started().await, 0, "what was started is ended");
        log.close().await.expect("the log closes");
        // Nothing was left open, so nothing is closed as unknown.
        assert_eq!(self::events(&backing.log().await).await.len(), 1 + started);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rolled_back_is_recorded_by_the_layer_with_its_outcome() {
    for course in [Course::RollsBack, Course::Drops, Course::Panics, Course::RollsBackInside] {
        for (method, path, started) in REQUESTS {
            let backing = Backing::new().await;
            let log = backing.log().await;
            let (app, _) = app(&backing, &log, course);
            let answer = tokio::spawn(app.oneshot(request(method, path))).await;
            let outcome = if course == Course::RollsBackInside { 200 } else { 500 };
            match answer {
                Ok(answer) => assert_eq!(answer.expect("infallible").status().as_u16(), outcome),
                Err(panic) => assert!(panic.is_panic() && course == Course::Panics),
            }
            assert_eq!(backing.effects().await, 0);
            let events = events(&log).await;
            assert_eq!(events.len(), 1 + started, "{course:?} {path}");
            assert_eq!(events[0].outcome, Some(outcome));
            assert_eq!(events[0].details["n"], 7);
            assert_eq!(events[0].details.contains_key("panic"), course == Course::Panics);
            assert_eq!(events[0].request.started_event_id, events.get(1).map(|started| started.event_id));
            let stats = log.stats();
            assert_eq!((stats.written, stats.transactional), (1 + started as u64, 1), "{course:?} {path}");
            assert_eq!(backing.open_started().await, 0);
            log.close().await.expect("the log closes");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_attempt_takes_the_place_of_one_that_was_rolled_back() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let (app, _) = app(&backing, &log, Course::TriesAgain);
    assert_eq!(app.oneshot(request("POST", "/scans")).await.expect("infallible").status(), StatusCode::CREATED);
    let events = events(&log).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].details["n"], 8);
    assert_eq!(backing.effects().await, 1);
    assert_eq!(log.stats().written, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_not_foreseen_leaves_the_event_as_it_is_and_is_counted() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let (app, _) = app(&backing, &log, Course::CommitsAndFails);
    assert_eq!(app.oneshot(request("POST", "/scans")).await.expect("infallible").status(), StatusCode::BAD_GATEWAY);
    let events = events(&log).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].outcome, Some(201), "it was done, and the event says what was done");
    assert_eq!((log.stats().status_mismatches, log.stats().written), (1, 0));
}

/// Polls `future` this many times and drops it. Returns true if it was ready before.
async fn drop_after<F: Future>(future: F, polls: usize) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// Each round has a number of its own, which its effect and its event have in them, so that all rounds share one log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_up_at_any_poll_leaves_effect_and_event_together() {
    for (method, path, _) in REQUESTS {
        let courses = if path == "/scans" { vec![Course::Commits] } else { vec![Course::Commits, Course::Drops] };
        for course in courses {
            let backing = Backing::new().await;
            let log = backing.log().await;
            let mut rounds = 0;
            for polls in 0.. {
                let (app, _) = numbered(&backing, &log, course, rounds);
                rounds += 1;
                if drop_after(app.oneshot(request(method, path)), polls).await {
                    break;
                }
            }
            // Waits for handlers without a client.
            log.close().await.expect("the log closes");
            let completed = completed(&backing.log().await).await;
            // Those whose client left before the handler was called.
            let (not_run, completed): (Vec<_>, Vec<_>) =
                completed.into_iter().partition(|event| event.details.contains_key("not_run"));
            let effects: Vec<i32> =
                sqlx::query_scalar("SELECT n FROM effects").fetch_all(&backing.pool).await.expect("effects");
            for n in 0..rounds {
                let effects = effects.iter().filter(|effect| **effect == n).count();
                let ends: Vec<_> = completed.iter().filter(|event| event.details["n"] == n).collect();
                let done = ends.iter().filter(|event| event.outcome == Some(201)).count();
                let told = format!("{path} {course:?} after {n} polls: {effects} effects, {ends:?}");
                assert_eq!(done, effects, "{told}");
                assert!(ends.len() <= 1, "{told}");
                if n + 1 == rounds || (n > 0 && path == "/scans") {
                    assert_eq!(ends.len(), 1, "{told}");
                }
                if ends.iter().any(|end| end.outcome.is_some()) {
                    assert_eq!(effects == 1, course == Course::Commits, "{told}");
                }
            }
            let is_started = path == "/auth/admin/users";
            assert!(is_started || not_run.is_empty());
            // Each that was polled, and so was started, has an end.
            assert!(!is_started || completed.len() + not_run.len() + 1 == rounds as usize, "{path} {course:?}");
            assert_eq!(backing.open_started().await, 0, "{path} {course:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_outlives_its_handler_is_waited_for() {
    for commits in [true, false] {
        let backing = Backing::new().await;
        let log = backing.log().await;
        let (app, mut taken) = app(&backing, &log, Course::GivesAway);
        let answer = tokio::spawn(app.oneshot(request("POST", "/scans")));
        let tx = taken.recv().await.expect("the handler gives it away");
        if commits {
            tx.commit().await.expect("committed");
        } else {
            tx.rollback().await.expect("rolled back");
        }
        assert_eq!(answer.await.expect("no panic").expect("infallible").status(), StatusCode::CREATED);
        // If the layer has to append to find out, it repeats the handler's event, details included.
        let events = events(&log).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].request.duration_us.is_none(), commits, "whose event it is");
        assert_eq!(backing.effects().await, i64::from(commits));
    }
}

const DEADLINE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_outlives_the_deadline_is_watched_to_its_end() {
    for (commits, (method, path, started)) in [true, false, false].into_iter().zip(REQUESTS) {
        let backing = Backing::new().await;
        let log = backing
            .builder_with_timeout(DEADLINE / 2)
            .await
            .write_timeout(DEADLINE)
            .open()
            .await
            .expect("the log opens");
        let (app, mut taken) = app(&backing, &log, Course::GivesAway);
        let begun = std::time::Instant::now();
        let answer = app.oneshot(request(method, path)).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "possibly done");
        assert!(!answer.headers().contains_key("retry-after"));
        let id: EventId = answer.headers()["audit-event-id"].to_str().expect("text").parse().expect("an id");
        let took = begun.elapsed();
        assert!(took >= DEADLINE && took < DEADLINE * 6, "{took:?}");
        // The worker's attempt has failed.
        log.flush().await.expect("everything is settled");
        assert_eq!(completed(&log).await.len(), 0);
        let tx = taken.recv().await.expect("the handler gave it away");
        if commits {
            tx.commit().await.expect("committed");
        } else {
            tx.rollback().await.expect("rolled back");
        }
        log.close().await.expect("the log waits for it");
        let log = backing.log().await;
        let events = events(&log).await;
        assert_eq!(events.len(), 1 + started, "{events:?}");
        assert_eq!(events[0].event_id, id, "under the id that the client was told");
        assert_eq!((events[0].phase, events[0].outcome), (Phase::Completed, Some(201)));
        // The layer does not time a request that no rule names.
        let is_measured = !commits && path != "/unnamed";
        assert_eq!(events[0].request.duration_us.is_some(), is_measured, "whose event it is");
        assert_eq!((backing.effects().await, backing.open_started().await), (i64::from(commits), 0));
        log.record(AuditEvent::new(EventType::AUTH)).await.expect("nothing is left in the way");
    }
}

#[tokio::test]
async fn an_event_that_the_log_appends_after_a_rollback_is_counted_by_its_type() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let backing = Backing::new().await;
    let log = backing.builder_with_timeout(DEADLINE / 2).await.write_timeout(DEADLINE).open().await;
    let log = log.expect("the log opens");
    let (app, mut taken) = app(&backing, &log, Course::GivesAway);
    let (method, path, _) = REQUESTS[0];
    let answer = app.oneshot(request(method, path)).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "possibly done");
    // The worker's attempt has failed.
    log.flush().await.expect("everything is settled");
    taken.recv().await.expect("the handler gave it away").rollback().await.expect("rolled back");
    log.close().await.expect("the log waits for it");
    assert_eq!(log.stats().written, 1);
    let text = recorder.handle().render();
    let counted = text.lines().filter(|line| line.starts_with("tower_audit_events_total{"));
    let counted: Vec<&str> = counted.filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(counted, ["1"], "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_closed_watches_no_longer() {
    let backing = Backing::new().await;
    let log = backing.builder_with_timeout(DEADLINE / 2).await.write_timeout(DEADLINE).close_timeout(DEADLINE);
    let log = log.open().await.expect("the log opens");
    let (app, mut taken) = app(&backing, &log, Course::GivesAway);
    assert_eq!(app.oneshot(request("POST", "/scans")).await.expect("infallible").status(), 500);
    let tx = taken.recv().await.expect("the handler gave it away");
    let error = log.close().await.expect_err("the transaction is not over");
    assert_eq!(error.unfinished_requests(), 1);
    let store = Arc::downgrade(log.store().expect("a store"));
    drop(log);
    while store.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    tx.commit().await.expect("committed");
    assert_eq!(completed(&backing.log().await).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database_is_refused_before_anything_is_written() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    // It has a log of its own, so that nothing is amiss there.
    let other = Backing::elsewhere().await;
    let others = other.log().await;
    let mut tx = other.pool.begin().await.expect("begun");
    let error = log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect_err("another database");
    assert!(cause(&error).contains("another database"), "{}", cause(&error));
    // The transaction is as it was.
    sqlx::query(EFFECT).bind(7).execute(&mut *tx).await.expect("it goes on");
    others.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("its own log");
    tx.commit().await.expect("committed");
    assert_eq!((events(&log).await.len(), events(&others).await.len(), other.effects().await), (0, 1, 1));
    // The handler fails, and the layer records that.
    let app =
        Router::new().route("/scans", routing::post(handle)).layer(AuditLayer::new(&log, presets::ivre())).with_state(
            App { pool: other.pool.clone(), course: Course::Commits, given: mpsc::unbounded_channel().0, n: 7 },
        );
    assert_eq!(app.oneshot(request("POST", "/scans")).await.expect("infallible").status(), 500);
    assert_eq!(completed(&log).await[0].outcome, Some(500));
    assert_eq!(other.effects().await, 1);
    // A store that knows no transactions at all.
    let memory = AuditLog::open("memory:").await.expect("the log opens");
    let mut tx = backing.pool.begin().await.expect("begun");
    let error = memory.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect_err("no database");
    assert!(cause(&error).contains("no database"), "{}", cause(&error));
}

fn cause(error: &RecordError) -> String {
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_no_request() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    let mut connection = backing.pool.acquire().await.expect("a connection");
    let mut event = AuditEvent::new(EventType::AUTH);
    let error = log.record_in(&mut *connection, event.clone()).await.expect_err("it is in no transaction");
    assert!(cause(&error).contains("in a transaction"), "{}", cause(&error));
    drop(connection);
    // Too long, and with a character that not every store can keep: cut and replaced, as on the way through the writer.
    event.details.insert("long".into(), "x\0".repeat(1 << 19).into());
    for _ in 0..2 {
        let mut tx = backing.pool.begin().await.expect("begun");
        let id = log.record_in(&mut tx, event.clone()).await.expect("a repeated event is no error");
        assert_eq!(id, event.event_id);
        tx.commit().await.expect("committed");
    }
    event.truncate_to_limits();
    assert_eq!(events(&log).await, [event.clone()]);
    let mut tx = backing.pool.begin().await.expect("begun");
    log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("it is in the transaction");
    tx.rollback().await.expect("rolled back");
    let mut tx = backing.pool.begin().await.expect("begun");
    event.phase = Phase::Started;
    let error = log.record_in(&mut tx, event).await.expect_err("not the app's to write");
    assert!(cause(&error).contains("completed"), "{}", cause(&error));
    drop(tx);
    log.flush().await.expect("everything is settled");
    assert_eq!(events(&log).await.len(), 1);
    assert_eq!(log.stats().written, 0);
    log.close().await.expect("the log closes");
    let mut tx = backing.pool.begin().await.expect("begun");
    let error = log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect_err("closed");
    assert_eq!(error.kind(), RecordErrorKind::Closed);
    AuditLog::disabled().record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("nothing to record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_records_is_an_error() {
    let backing = Backing::new().await;
    let log = backing.log().await;
    async fn undecided(State(pool): State<Pool>, audit: AuditContext) -> StatusCode {
        let mut tx = pool.begin().await.expect("begun");
        let error = audit.expect_status(StatusCode::SEE_OTHER).record_in(&mut tx).await.expect_err("no rule takes it");
        assert_eq!(error.kind(), RecordErrorKind::NoMatchingRule);
        StatusCode::SEE_OTHER
    }
    let rule = presets::ivre::upload().when(RecordWhen::effect_possible());
    let policy = AuditPolicy::builder().rule(rule).build().expect("a valid policy");
    let app = Router::new()
        .route("/scans", routing::post(undecided))
        .route("/unnamed", routing::post(undecided))
        .layer(AuditLayer::new(&log, policy))
        .with_state(backing.pool.clone());
    for path in ["/scans", "/unnamed"] {
        let answer = app.clone().oneshot(request("POST", path)).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }
    assert_eq!(events(&log).await.len(), 0);
    assert_eq!(log.stats().transactional, 0);
}

/// Two instances of an app, each with a log and a pool of its own, many requests at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_agree() {
    const EACH: usize = 12;
    let backing = Backing::new().await;
    let logs = [backing.log().await, backing.log().await];
    let mut requests = tokio::task::JoinSet::new();
    for log in &logs {
        for (n, course) in
            (0..EACH).zip([Course::Commits, Course::Drops, Course::Commits, Course::Panics].iter().cycle())
        {
            let (app, _) = app(&backing, log, *course);
            let (method, path, _) = REQUESTS[n % 2];
            requests.spawn(app.oneshot(request(method, path)));
        }
    }
    while requests.join_next().await.is_some() {}
    let completed = completed(&logs[0]).await;
    assert_eq!(completed.len(), 2 * EACH, "each request once");
    let done = completed.iter().filter(|event| event.outcome == Some(201)).count();
    assert_eq!(done as i64, backing.effects().await);
    assert_eq!(done, EACH, "half of them commit");
    assert_eq!(backing.open_started().await, 0);
    let written: u64 = logs.iter().map(|log| log.stats().written).sum();
    assert_eq!(written as usize, EACH + EACH, "what was rolled back, and what was started");
    for log in logs {
        log.close().await.expect("the log closes");
    }
}

/// The layer cannot ask the store: the client gets "possibly done", and no event is written twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_closed_in_between_tells_nobody_that_all_is_well() {
    let backing = Backing::new().await;
    let log = backing.builder().await.close_timeout(Duration::ZERO).open().await.expect("the log opens");
    let (app, mut taken) = app(&backing, &log, Course::GivesAway);
    let answer = tokio::spawn(app.oneshot(request("POST", "/scans")));
    let tx = taken.recv().await.expect("the handler gives it away");
    log.close().await.expect_err("a request is under way");
    tx.commit().await.expect("committed");
    let answer = answer.await.expect("no panic").expect("infallible");
    let log = backing.log().await;
    assert_eq!(completed(&log).await.len(), 1);
    // It may have been asked about just before the log was closed.
    assert!([201, 500].contains(&answer.status().as_u16()), "{}", answer.status());
    let _ = Arc::new(log);
}
