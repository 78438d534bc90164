//! A store that fails: what the client is told, and what not.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower_audit::api::AuditApi;
use tower_audit::store::StoreErrorKind;
use tower_audit::viewer::AuditViewer;

use crate::api::log_capture::Log;
use crate::api::support::{ROOT, TestGate, Trouble, app, ask, events, spy};

const ROUTES: [&str; 5] = ["/", "/count", "/export", "/stats", "/00000000000000000000000000000001"];

#[tokio::test]
async fn a_failure_that_may_pass_is_503_and_any_other_500() {
    tokio::time::pause();
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    for (trouble, status) in [
        (Trouble::Fails(StoreErrorKind::Transient), 503),
        (Trouble::Fails(StoreErrorKind::Permanent), 500),
        (Trouble::Fails(StoreErrorKind::Unsupported), 500),
        (Trouble::Fails(StoreErrorKind::Config), 500),
        (Trouble::Fails(StoreErrorKind::Denied), 500),
        (Trouble::Hangs, 503),
        (Trouble::Panics, 500),
    ] {
        spy.trouble_after(0, trouble);
        for route in ROUTES {
            let answer = ask(&app, ROOT, &format!("/audit{route}")).await;
            answer.assert_problem(status);
            assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
            assert!(!answer.text().contains("secret"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_deadline() {
    tokio::time::pause();
    let spy = spy(&events(3)).await;
    spy.trouble_after(0, Trouble::Hangs);
    let deadline = Duration::from_secs(7);
    let usual = AuditApi::from_store(std::sync::Arc::new(spy.clone()), TestGate).router("/audit");
    let short = AuditApi::from_store(std::sync::Arc::new(spy), TestGate).timeout(deadline).router("/audit");
    for (app, deadline) in [(usual, AuditApi::DEFAULT_TIMEOUT), (short, deadline)] {
        for caller in ["hangs", ROOT] {
            for route in ROUTES {
                let began = Instant::now();
                ask(&app, caller, &format!("/audit{route}")).await.assert_problem(503);
                let waited = began.elapsed();
                assert!(
                    waited >= deadline && waited < deadline + Duration::from_secs(1),
                    "{caller} {route}: {waited:?}"
                );
            }
        }
    }
}

/// A service whose account may only append, as it should, and that shows the log all the same.
#[tokio::test]
async fn who_may_not_read_is_told_at_the_start() {
    let log = Log::default();
    let _guard = log.catch();
    let spy = Arc::new(spy(&events(3)).await);
    let api = || AuditApi::from_store(spy.clone(), TestGate);
    api().check().await.expect("it may read");
    let _app: axum::Router = api().router("/audit");
    tokio::task::yield_now().await;
    assert_eq!(log.text(), "");

    spy.trouble_after(0, Trouble::Fails(StoreErrorKind::Denied));
    assert_eq!(api().check().await.expect_err("it may not").kind(), StoreErrorKind::Denied);
    let app = api().router("/audit");
    let viewer: axum::Router = AuditViewer::from_store(spy.clone(), TestGate).router("/ui");
    tokio::task::yield_now().await;
    let text = log.text();
    for part in ["WARN", "may not read the audit log", "read API", "viewer", "is not permitted"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert_eq!(text.lines().count(), 2, "{text}");
    let answer = ask(&app, ROOT, "/audit/").await;
    answer.assert_problem(500);
    assert!(answer.text().contains("The role that this service has may not read the audit log."), "{answer:?}");
    let page = ask(&viewer, ROOT, "/ui/").await;
    assert!(page.status == 500 && page.text().contains("may not read the audit log"), "{page:?}");
}
