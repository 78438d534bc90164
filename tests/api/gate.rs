//! Who sees what: every caller on every route with every kind of filter.

use std::sync::Arc;

use http::Method;
use tower_audit::AuditLog;
use tower_audit::router::AuditApi;
use tower_audit::store::AuditStore;

use crate::support::{ALICE, BOB, ROOT, TestGate, app, app_over, ask, ask_by, event, events, spy, stores};

/// A status, and how many events there are to see.
type Expected = (u16, u64);

/// Whose events there are to see for each, and whom they may name.
#[tokio::test]
async fn caller_by_route_by_filter() {
    // 30 events: 10 of Alice's, 10 of Bob's, 10 of nobody's.
    const WRONG: Expected = (400, 0);
    #[rustfmt::skip]
    let table: [(&str, &str, Expected, Expected, Expected); 18] = [
        // filter                                 anonymous  Alice      admin
        ("",                            "none",        (401, 0), (200, 10), (200, 30)),
        ("user_email=alice@example.org", "own",        (401, 0), (200, 10), (200, 10)),
        ("user_email=bob@example.org",   "another's",  (401, 0), (403, 0),  (200, 10)),
        ("user_email=nobody",            "no one's",   (401, 0), (403, 0),  (200, 0)),
        ("user_email=Alice@example.org", "case",       (401, 0), (403, 0),  (200, 0)),
        ("user_email=alice@example.org%20", "blank",   (401, 0), (403, 0),  (200, 0)),
        ("route=/scans",                "other",       (401, 0), (200, 10), (200, 30)),
        ("route=/none",                 "no match",    (401, 0), (200, 0),  (200, 0)),
        ("user_email=",                 "empty",       (401, 0), WRONG,     WRONG),
        ("user=bob@example.org",        "unknown",     (401, 0), WRONG,     WRONG),
        ("since=1d&since=2d",           "two times",   (401, 0), WRONG,     WRONG),
        ("user_email=alice@example.org&user_email=bob@example.org", "two", (401, 0), (403, 0), (200, 20)),
        ("user_email=*",                "everybody",   (401, 0), (403, 0),  (200, 20)),
        ("user_email=!*",               "nobody",      (401, 0), (403, 0),  (200, 10)),
        ("user_email=alice*",           "the like",    (401, 0), (403, 0),  (200, 10)),
        ("user_email=!bob@example.org", "not another", (401, 0), (403, 0),  (200, 20)),
        ("user_email=!alice@example.org", "not own",   (401, 0), (403, 0),  (200, 20)),
        ("route=/s*&route=!/none",      "patterns",    (401, 0), (200, 10), (200, 30)),
    ];
    for (store, _folder) in stores().await {
        let name = store.capabilities().name;
        store.append(&events(30)).await.unwrap();
        let app = app_over(store);
        for (filter, about, anonymous, alice, admin) in table {
            for (caller, (status, count)) in [("", anonymous), (ALICE, alice), (ROOT, admin)] {
                for route in ["", "/", "/count", "/export", "/stats"] {
                    let uri = match route {
                        // The events are older than what is counted unless told.
                        "/stats" if filter.is_empty() => "/audit/stats?since=2026-05-25".to_owned(),
                        "/stats" => format!("/audit/stats?{filter}&since=2026-05-25"),
                        _ => format!("/audit{route}?{filter}"),
                    };
                    let answer = ask(&app, caller, &uri).await;
                    let context = format!("{name}: {caller:?} asks for {about}: {uri}");
                    if status != 200 {
                        assert_eq!(answer.status, status, "{context}");
                        answer.assert_problem(status);
                        continue;
                    }
                    answer.assert_guarded();
                    assert_eq!(answer.status, 200, "{context}");
                    let found = match route {
                        "/count" => answer.json().as_u64().unwrap(),
                        "/stats" => answer.json()["events"].as_u64().unwrap(),
                        "/export" => answer.text().lines().count() as u64,
                        _ => answer.events().len() as u64,
                    };
                    assert_eq!(found, count, "{context}");
                    if caller == ALICE && route != "/count" {
                        assert!(!answer.text().contains(BOB), "{context}");
                    }
                }
            }
        }
        for (id, alice, admin) in [(1, 200, 200), (2, 404, 200), (3, 404, 200), (99, 404, 404)] {
            for (caller, status) in [("", 401), (ALICE, alice), (ROOT, admin), ("nobody", 404)] {
                let uri = format!("/audit/{id:032x}");
                assert_eq!(ask(&app, caller, &uri).await.status, status, "{name}: {caller:?} asks for {uri}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_missing_and_what_is_anothers_look_the_same() {
    for (store, _folder) in stores().await {
        store.append(&events(30)).await.unwrap();
        let app = app_over(store);
        for method in [Method::GET, Method::HEAD] {
            let missing = ask_by(&app, method.clone(), ALICE, &format!("/audit/{:032x}", 99)).await;
            assert_eq!(missing.status, 404);
            for another in [2, 3] {
                // Another caller's and nobody's: status, headers, body.
                let hidden = ask_by(&app, method.clone(), ALICE, &format!("/audit/{another:032x}")).await;
                assert_eq!(hidden, missing);
            }
        }
    }
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    ask(&app, ALICE, &format!("/audit/{:032x}", 2)).await;
    let hidden = spy.reads();
    ask(&app, ALICE, &format!("/audit/{:032x}", 99)).await;
    assert_eq!(hidden, ["get"], "the store was asked for more than the event");
    assert_eq!(spy.reads(), hidden, "the store does the same work for both");
}

#[tokio::test]
async fn the_store_is_not_asked_for_who_gets_nothing() {
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    for route in ["/", "/count", "/export", "/stats"] {
        ask(&app, ALICE, &format!("/audit{route}?user_email={BOB}")).await.assert_problem(403);
        ask(&app, "", &format!("/audit{route}")).await.assert_problem(401);
        ask(&app, ALICE, &format!("/audit{route}?nonsense=1")).await.assert_problem(400);
    }
    ask(&app, "", "/audit/00000000000000000000000000000001").await.assert_problem(401);
    ask(&app, ALICE, "/audit/nonsense").await.assert_problem(400);
    assert!(spy.reads().is_empty());
    ask(&app, ALICE, "/audit/").await;
    assert_eq!(spy.reads(), [format!("query of {:?}", [ALICE])], "the store itself looks for no one else's");
}

#[tokio::test]
async fn an_event_is_found_by_every_form_of_its_id() {
    let app = app(spy(&events(1)).await);
    for id in [
        "00000000000000000000000000000001",
        "00000000-0000-0000-0000-000000000001",
        "%7B00000000-0000-0000-0000-000000000001%7D",
        "urn:uuid:00000000-0000-0000-0000-000000000001",
    ] {
        let answer = ask(&app, ALICE, &format!("/audit/{id}")).await;
        assert_eq!(answer.json()["event_id"], "00000000000000000000000000000001");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.assert_guarded();
    }
}

#[tokio::test]
async fn a_name_too_long_for_an_event_still_finds_its_own() {
    let name = "a".repeat(600);
    let mut own = event(1, Some(&name), "/scans");
    own.fit();
    let app = app(spy(&[own, event(2, Some(BOB), "/scans")]).await);
    assert_eq!(ask(&app, &name, "/audit/").await.events().len(), 1);
    assert_eq!(ask(&app, &name, "/audit/00000000000000000000000000000001").await.status, 200);
}

#[tokio::test]
async fn a_gate_that_fails_shows_nothing() {
    tokio::time::pause();
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    for caller in ["fails", "panics", "panics at once", "hangs"] {
        for route in ["/", "/count", "/export", "/00000000000000000000000000000001"] {
            let answer = ask(&app, caller, &format!("/audit{route}")).await;
            answer.assert_problem(503);
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert!(!answer.text().contains("secret"), "{answer:?}");
        }
    }
    for nameless in ["nameless", "nameless admin"] {
        ask(&app, nameless, "/audit/").await.assert_problem(401);
    }
    assert!(spy.reads().is_empty());
}

#[tokio::test]
async fn a_401_says_how_to_authenticate() {
    let answer = ask(&app(spy(&[]).await), "", "/audit/").await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn other_verbs_are_refused() {
    let app = app(spy(&events(3)).await);
    for route in ["", "/", "/count", "/export", "/openapi.json", "/00000000000000000000000000000001"] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let answer = ask_by(&app, method, ROOT, &format!("/audit{route}")).await;
            answer.assert_problem(405);
            assert_eq!(answer.header("allow"), Some("GET,HEAD"));
        }
        let (get, head) = (ask(&app, ROOT, &format!("/audit{route}")).await, Method::HEAD);
        let head = ask_by(&app, head, ROOT, &format!("/audit{route}")).await;
        assert_eq!((head.status, &head.headers.get("content-type")), (get.status, &get.headers.get("content-type")));
        assert!(head.body.is_empty());
        head.assert_guarded();
    }
}

#[tokio::test]
async fn it_can_be_mounted_anywhere() {
    let log = AuditLog::open("memory:").await.unwrap();
    log.store().unwrap().append(&events(3)).await.unwrap();
    let at_root: axum::Router = AuditApi::new(&log, TestGate).router("");
    let nested = axum::Router::new().nest("/cgi", AuditApi::new(&log, TestGate).router("/audit/"));
    for (app, at) in [(at_root, ""), (nested, "/cgi/audit")] {
        assert_eq!(ask(&app, ALICE, &format!("{at}/")).await.events().len(), 1);
        assert_eq!(ask(&app, ALICE, &format!("{at}/count")).await.text(), "1\n");
        let document = ask(&app, "", &format!("{at}/openapi.json")).await;
        assert_eq!(document.json()["servers"][0]["url"], if at.is_empty() { "/" } else { at });
        document.assert_guarded();
    }
}

#[tokio::test]
async fn a_gate_can_be_shared() {
    let gate: Arc<dyn tower_audit::router::Gate> = Arc::new(TestGate);
    let store: Arc<dyn AuditStore> = Arc::new(spy(&events(3)).await);
    let app: axum::Router = AuditApi::over(store, gate).router("/audit");
    assert_eq!(ask(&app, ALICE, "/audit/count").await.text(), "1\n");
}
