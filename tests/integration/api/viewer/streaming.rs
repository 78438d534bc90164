//! Pages that come in parts, and readings that are recorded.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt as _;
use tower_audit::AuditLog;
use tower_audit::store::MemoryStore;
use tower_audit::viewer::AuditViewer;

use super::html::viewer;
use crate::api::support::{ALICE, BOB, ROOT, TestGate, Trouble, ask, events, respond, spy};

#[tokio::test]
async fn a_page_does_not_wait_for_its_numbers() {
    tokio::time::pause();
    for (page, reads, shown, rest) in [
        ("/ui/", 1, "<tbody role=\"rowgroup\">", 1),
        ("/ui/overview?since=2026-05-25", 2, "<figure class=\"chart\">", 6),
    ] {
        let spy = spy(&events(3)).await;
        spy.trouble_after(reads, Trouble::Hangs);
        let mut body = respond(&viewer(spy), Method::GET, ROOT, page).await.into_body();
        let began = tokio::time::Instant::now();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let first = String::from_utf8(first.to_vec()).unwrap();
        assert!(began.elapsed().is_zero() && first.contains(shown) && first.contains("class=\"loading\""), "{page}");
        // Then they are given up.
        for _ in 0..rest {
            let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(String::from_utf8(part.to_vec()).unwrap().contains("cannot be read for now"), "{page}");
        }
        assert!(body.frame().await.is_none(), "{page}");
        assert!(began.elapsed() >= AuditViewer::DEFAULT_TIMEOUT, "{page}");
    }
}

#[tokio::test]
async fn who_read_what_is_recorded_before_it_is_shown() {
    let records = MemoryStore::new();
    let log = AuditLog::builder().store(Arc::new(records.clone())).open().await.unwrap();
    let store = Arc::new(spy(&events(30)).await);
    let ui: axum::Router = AuditViewer::from_store(store, TestGate).record_reads(&log).router("/ui");
    for (caller, page, outcome, details) in [
        (ROOT, "/ui/?limit=5&route=/scans", 200, r#"{"count":5,"filter":{"route":"/scans"},"read":"view_list"}"#),
        (
            ALICE,
            "/ui/overview?since=2026-05-25",
            200,
            r#"{"count":10,"filter":{"since":"2026-05-25"},"read":"view_stats"}"#,
        ),
        (
            ALICE,
            "/ui/events/00000000000000000000000000000001",
            200,
            r#"{"count":4,"event_id":"00000000000000000000000000000001","read":"view_get"}"#,
        ),
        (
            ALICE,
            "/ui/events/00000000000000000000000000000002",
            404,
            r#"{"count":0,"event_id":"00000000000000000000000000000002","read":"view_get"}"#,
        ),
        (
            ALICE,
            "/ui/?user_email=bob@example.org",
            403,
            r#"{"count":0,"filter":{"user_email":"bob@example.org"},"read":"view_list"}"#,
        ),
    ] {
        let before = records.events().len();
        assert_eq!(ask(&ui, caller, page).await.status, outcome, "{page}");
        let event = records.events().remove(0);
        assert_eq!(serde_json::to_string(&event.details).unwrap(), details, "{page}");
        assert_eq!((event.actor.user_email.as_deref(), event.outcome), (Some(caller), Some(outcome)), "{page}");
        assert_eq!(records.events().len(), before + 1);
    }
    // A reading that cannot be recorded is refused.
    log.close().await.unwrap();
    for page in ["/ui/", "/ui/overview", "/ui/events/00000000000000000000000000000001"] {
        let answer = ask(&ui, ROOT, page).await;
        assert_eq!(answer.status, 503, "{page}");
        assert!(!answer.text().contains(BOB));
    }
}
