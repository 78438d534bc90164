//! Readings that are recorded themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Method;
use http_body_util::BodyExt as _;
use tower_audit::api::AuditApi;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{AuditStore, MemoryStore, StoreErrorKind};
use tower_audit::writer::DEFAULT_WRITE_TIMEOUT;
use tower_audit::{AuditEvent, AuditLog, EventType, Phase};

use crate::api::support::{ALICE, BOB, ROOT, TestGate, Trouble, app, ask, events, respond, spy};

struct Recorded {
    app: Router,
    log: AuditLog,
    records: MemoryStore,
    faulty: FaultyStore,
}

/// An API over some events whose readings are recorded in another store.
async fn recorded(store: impl AuditStore) -> Recorded {
    let records = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(records.clone()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).open().await.expect("the log opens");
    let app = AuditApi::from_store(Arc::new(store), TestGate).record_reads(&log).router("/audit");
    Recorded { app, log, records, faulty }
}

/// Returns the actor, outcome, phase and details of the event of the last read.
fn last(records: &MemoryStore) -> (String, Option<u16>, Phase, String) {
    let event = records.events().remove(0);
    assert_eq!(event.event_type, EventType::AUDIT_READ);
    let details = serde_json::to_string(&event.details).expect("JSON");
    (event.actor.user_email.expect("a name").to_string(), event.outcome, event.phase, details)
}

#[tokio::test]
async fn who_read_what_and_how_many() {
    let Recorded { app, records, .. } = recorded(spy(&events(30)).await).await;
    for (caller, uri, outcome, details) in [
        (ROOT, "/audit/?limit=5&route=/scans", 200, r#"{"count":5,"filter":{"route":"/scans"},"read":"list"}"#),
        (
            ROOT,
            "/audit/?limit=5&outcome=200&route=!/a&outcome=404&outcome=500&route=!/b",
            200,
            r#"{"count":5,"filter":{"outcome":["200","404","500"],"route":["!/a","!/b"]},"read":"list"}"#,
        ),
        (ALICE, "/audit/", 200, r#"{"count":10,"filter":{},"read":"list"}"#),
        (ROOT, "/audit/count?since=2026-05-25", 200, r#"{"count":30,"filter":{"since":"2026-05-25"},"read":"count"}"#),
        (
            ALICE,
            "/audit/stats?since=2026-05-25&until=2026-05-26",
            200,
            r#"{"count":10,"filter":{"since":"2026-05-25","until":"2026-05-26"},"read":"stats"}"#,
        ),
        (
            ALICE,
            "/audit/00000000000000000000000000000001",
            200,
            r#"{"count":1,"event_id":"00000000000000000000000000000001","read":"get"}"#,
        ),
        (
            ALICE,
            "/audit/00000000000000000000000000000002",
            404,
            r#"{"count":0,"event_id":"00000000000000000000000000000002","read":"get"}"#,
        ),
        (
            ALICE,
            "/audit/?user_email=bob@example.org",
            403,
            r#"{"count":0,"filter":{"user_email":"bob@example.org"},"read":"list"}"#,
        ),
    ] {
        let before = records.events().len();
        assert_eq!(ask(&app, caller, uri).await.status, outcome, "{uri}");
        assert_eq!(last(&records), (caller.to_owned(), Some(outcome), Phase::Completed, details.to_owned()), "{uri}");
        assert_eq!(records.events().len(), before + 1);
    }
    let event = records.events().remove(0);
    assert_eq!((event.resource.route.as_deref(), event.resource.method.as_deref()), (Some("/audit/"), Some("GET")));
    // A request that reads no event is not recorded.
    let before = records.events().len();
    for (caller, uri) in
        [("", "/audit/"), (ALICE, "/audit/?limit=x"), ("fails", "/audit/"), ("", "/audit/openapi.json")]
    {
        ask(&app, caller, uri).await;
    }
    assert_eq!(records.events().len(), before);
}

#[tokio::test]
async fn nothing_is_recorded_unless_asked_for() {
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    ask(&app, ROOT, "/audit/").await;
    ask(&app, ROOT, "/audit/export").await;
    assert_eq!(ask(&app, ROOT, "/audit/count").await.text(), "3\n");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_shown() {
    tokio::time::pause();
    let Recorded { app, faulty, .. } = recorded(spy(&events(3)).await).await;
    for fault in [Fault::FailsAppend(StoreErrorKind::Permanent), Fault::HangsAppend] {
        faulty.set_fault(Some(fault));
        for (caller, route) in [
            (ROOT, "/".to_owned()),
            (ROOT, "/count".into()),
            (ROOT, "/stats".into()),
            (ROOT, "/export".into()),
            (ROOT, "/00000000000000000000000000000001".into()),
            (ALICE, "/00000000000000000000000000000002".into()),
            (ALICE, "/00000000000000000000000000000099".into()),
            (ALICE, format!("/?user_email={BOB}")),
        ] {
            let answer = ask(&app, caller, &format!("/audit{route}")).await;
            answer.assert_problem(503);
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
}

#[tokio::test]
async fn nothing_is_shown_before_it_is_recorded() {
    let Recorded { app, faulty, .. } = recorded(spy(&events(3)).await).await;
    for route in ["/", "/count", "/export", "/stats", "/00000000000000000000000000000001"] {
        faulty.pause_appends();
        let asking = tokio::spawn({
            let app = app.clone();
            async move { respond(&app, Method::GET, ROOT, &format!("/audit{route}")).await }
        });
        faulty.until_paused(1).await;
        assert!(!asking.is_finished(), "{route}");
        faulty.resume_appends();
        assert_eq!(asking.await.unwrap().status(), 200);
    }
}

/// The two events of the only export.
fn of_export(records: &MemoryStore) -> (AuditEvent, AuditEvent) {
    let [completed, started] = records.events().try_into().expect("two events");
    assert_eq!((started.phase, started.outcome), (Phase::Started, None));
    assert_eq!(completed.request.started_event_id, Some(started.event_id));
    assert_eq!(started.details["format"], "csv");
    (started, completed)
}

#[tokio::test]
async fn an_export_is_recorded_before_its_first_byte_and_before_its_last() {
    let Recorded { app, records, log, .. } = recorded(spy(&events(2400)).await).await;
    let mut body = respond(&app, Method::GET, ROOT, "/audit/export?format=csv").await.into_body();
    assert_eq!(records.events().len(), 1);
    assert_eq!(records.events()[0].phase, Phase::Started);
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(records.events().len(), 1);
    body.frame().await.unwrap().unwrap();
    let (_, completed) = of_export(&records);
    assert_eq!((&completed.details["count"], &completed.details["body_end"]), (&2400.into(), &"complete".into()));
    assert!(body.frame().await.is_none());
    drop(body);
    log.close().await.unwrap();
    assert_eq!(records.events().len(), 2);
}

#[tokio::test]
async fn an_export_that_ends_early_says_how_many_left() {
    for (trouble, end) in [(None, "dropped"), (Some(Trouble::Fails(StoreErrorKind::Permanent)), "error")] {
        let spy = spy(&events(2400)).await;
        let Recorded { app, records, log, .. } = recorded(spy.clone()).await;
        let mut body = respond(&app, Method::GET, ROOT, "/audit/export?format=csv").await.into_body();
        body.frame().await.unwrap().unwrap();
        if let Some(trouble) = trouble {
            spy.trouble_after(0, trouble);
            assert!(body.frame().await.unwrap().is_err());
        }
        drop(body);
        // Closing waits for what is recorded behind the back of the client.
        log.close().await.unwrap();
        let (_, completed) = of_export(&records);
        assert_eq!((&completed.details["count"], &completed.details["body_end"]), (&1000.into(), &end.into()));
    }
}

/// The client leaves before the end of an export, or while that end is recorded; the log's store is out for longer than
/// the write timeout.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_export_outlasts_an_outage() {
    for (frames, end) in [(1, "dropped"), (2, "complete")] {
        let Recorded { app, records, log, faulty } = recorded(spy(&events(1200)).await).await;
        let mut body = respond(&app, Method::GET, ROOT, "/audit/export?format=csv").await.into_body();
        faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Transient)));
        for _ in 0..frames {
            let frame = tokio::time::timeout(Duration::from_secs(1), body.frame()).await;
            assert!(frame.is_ok_and(|frame| frame.expect("a page").is_ok()) || end == "complete");
        }
        drop(body);
        tokio::time::sleep(DEFAULT_WRITE_TIMEOUT * 2).await;
        assert_eq!((records.events().len(), log.stats().owed), (1, 1), "{end}");
        faulty.set_fault(None);
        log.flush().await.expect("the store answers");
        log.close().await.expect("nothing is left");
        let (_, completed) = of_export(&records);
        assert_eq!(completed.details["body_end"], end);
    }
}

/// The store keeps the `started` event after the export was refused: the log ends it.
#[tokio::test(start_paused = true)]
async fn an_export_that_is_refused_leaves_no_start_open() {
    let Recorded { app, records, log, faulty } = recorded(spy(&events(30)).await).await;
    faulty.pause_appends();
    let request = respond(&app, Method::GET, ROOT, "/audit/export?format=csv");
    assert_eq!(request.await.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    faulty.resume_appends();
    log.close().await.expect("nothing is left");
    let (_, completed) = of_export(&records);
    assert_eq!((completed.outcome, &completed.details["not_run"]), (Some(503), &true.into()));
}

#[tokio::test]
async fn an_export_whose_end_cannot_be_recorded_has_no_end() {
    let Recorded { app, faulty, .. } = recorded(spy(&events(1200)).await).await;
    let mut body = respond(&app, Method::GET, ROOT, "/audit/export?format=csv").await.into_body();
    body.frame().await.unwrap().unwrap();
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Permanent)));
    assert!(body.frame().await.expect("no clean end").is_err());
}
