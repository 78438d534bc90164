//! The order of refusals, pair by pair: the earlier one is the answer.

use axum::Router;
use tower_audit::api::AuditApi;
use tower_audit::policy::presets;
use tower_audit::{AuditLayer, AuditLog};

use crate::api::support::{ALICE, BOB, TestGate, app, ask, events, spy};

const HIDDEN: &str = "00000000000000000000000000000002";

#[tokio::test]
async fn no_store_comes_before_everything() {
    let off: Router = AuditApi::new(&AuditLog::disabled(), TestGate).router("/audit");
    let unrecorded: Router = AuditApi::from_store(std::sync::Arc::new(spy(&events(3)).await), TestGate)
        .record_reads(&AuditLog::disabled())
        .router("/audit");
    for app in [off, unrecorded] {
        for caller in ["", "fails", "panics", ALICE] {
            for route in [
                "/",
                "/count",
                "/export",
                "/stats",
                "/nonsense",
                "/%ff",
                "/?limit=x",
                "/?user_email=bob",
                &format!("/{HIDDEN}"),
            ] {
                ask(&app, caller, &format!("/audit{route}")).await.assert_problem(501);
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_none() {
    #[derive(Debug)]
    struct Sink;
    use tower_audit::store::{AuditStore, Capabilities, Diagnostic, StoreFuture};
    impl AuditStore for Sink {
        fn capabilities(&self) -> Capabilities {
            Capabilities::new("sink")
        }
        fn append<'a>(&'a self, _: &'a [tower_audit::AuditEvent]) -> StoreFuture<'a, ()> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn health(&self) -> StoreFuture<'_, ()> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }
        fn maintain(&self) -> StoreFuture<'_, bool> {
            Box::pin(std::future::ready(Ok(false)))
        }
        fn close(&self) -> StoreFuture<'_, ()> {
            Box::pin(std::future::ready(Ok(())))
        }
    }
    ask(&app(Sink), ALICE, "/audit/").await.assert_problem(501);
}

#[tokio::test]
async fn anonymous_comes_before_what_is_malformed() {
    let app = app(spy(&events(3)).await);
    for route in [
        "/?limit=x".to_owned(),
        "/?nonsense".into(),
        "/count?since=x".into(),
        "/export?format=x".into(),
        "/stats?by=x".into(),
        "/?cursor=x".into(),
        "/nonsense".into(),
        "/%ff".into(),
        format!("/?user_email={BOB}"),
        format!("/{HIDDEN}"),
    ] {
        ask(&app, "", &format!("/audit{route}")).await.assert_problem(401);
        ask(&app, "fails", &format!("/audit{route}")).await.assert_problem(503);
    }
}

#[tokio::test]
async fn malformed_comes_before_forbidden_and_missing() {
    let app = app(spy(&events(3)).await);
    for route in ["/", "/count", "/export", "/stats"] {
        for wrong in ["limit=x", "nonsense=1", "outcome=7", "since=x", "phase=", "route=%ff", "until=3d&since=1d"] {
            for filter in [format!("user_email={BOB}&{wrong}"), format!("{wrong}&user_email={BOB}")] {
                ask(&app, ALICE, &format!("/audit{route}?{filter}")).await.assert_problem(400);
            }
        }
    }
    ask(&app, ALICE, &format!("/audit/?user_email={BOB}&cursor=AQ")).await.assert_problem(400);
    ask(&app, ALICE, &format!("/audit/{HIDDEN}?limit=1")).await.assert_problem(400);
    ask(&app, ALICE, "/audit/nonsense").await.assert_problem(400);
    ask(&app, ALICE, "/audit/%ff").await.assert_problem(400);
}

#[tokio::test]
async fn forbidden_comes_before_a_store_that_fails() {
    let spy = spy(&events(3)).await;
    spy.trouble_after(0, crate::api::support::Trouble::Panics);
    let app = app(spy);
    ask(&app, ALICE, &format!("/audit/?user_email={BOB}")).await.assert_problem(403);
    ask(&app, ALICE, "/audit/").await.assert_problem(500);
}

#[tokio::test]
async fn the_layer_can_be_around_it() {
    let log = AuditLog::open("memory:").await.unwrap();
    log.store().unwrap().append(&events(3)).await.unwrap();
    let app: Router = AuditApi::new(&log, TestGate).router("/audit").layer(AuditLayer::new(&log, presets::ivre()));
    assert_eq!(ask(&app, ALICE, "/audit/").await.events().len(), 1);
}
