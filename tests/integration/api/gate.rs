//! Access: every caller on every route with every kind of filter.

use std::sync::Arc;

use http::Method;
use tower_audit::AuditLog;
use tower_audit::api::AuditApi;
use tower_audit::store::AuditStore;

use crate::api::support::{ALICE, Answer, BOB, ROOT, TestGate, app, app_over, ask, ask_by, event, events, spy, stores};

/// A status, and how many events there are to see.
type Expected = (u16, u64);

const NOBODY: Expected = (401, 0);
const WRONG: Expected = (400, 0);
const OTHERS: Expected = (403, 0);

const fn sees(count: u64) -> Expected {
    (200, count)
}

/// Of 30 events, 10 each of Alice's, of Bob's and of nobody's: what these filters find for Alice, Bob, an administrator.
#[rustfmt::skip]
const TABLE: [(&str, &str, [Expected; 3]); 26] = [
    ("none",          "",                                    [sees(10), sees(10), sees(30)]),
    ("one of them",   "user_email=alice@example.org",        [sees(10), OTHERS,   sees(10)]),
    ("another",       "user_email=bob@example.org",          [OTHERS,   sees(10), sees(10)]),
    ("in disguise",   "%75ser_email=%61lice%40example.org",  [sees(10), OTHERS,   sees(10)]),
    ("no one's",      "user_email=nobody",                   [OTHERS,   OTHERS,   sees(0)]),
    ("the admin's",   "user_email=root@example.org",         [OTHERS,   OTHERS,   sees(0)]),
    ("case",          "user_email=Alice@example.org",        [OTHERS,   OTHERS,   sees(0)]),
    ("blank",         "user_email=alice@example.org%20",     [OTHERS,   OTHERS,   sees(0)]),
    ("two users",     "user_email=alice@example.org&user_email=bob@example.org", [OTHERS, OTHERS, sees(20)]),
    ("everybody",     "user_email=*",                        [OTHERS,   OTHERS,   sees(20)]),
    ("nobody",        "user_email=!*",                       [OTHERS,   OTHERS,   sees(10)]),
    ("the like",      "user_email=alice*",                   [OTHERS,   OTHERS,   sees(10)]),
    ("a wildcard of SQL", "user_email=alice@example.or_",    [OTHERS,   OTHERS,   sees(0)]),
    ("one and not",   "user_email=alice@example.org&user_email=!bob@example.org", [OTHERS, OTHERS, sees(10)]),
    ("not Bob",       "user_email=!bob@example.org",         [OTHERS,   OTHERS,   sees(20)]),
    ("not Alice",     "user_email=!alice@example.org",       [OTHERS,   OTHERS,   sees(20)]),
    ("other",         "route=/scans",                        [sees(10), sees(10), sees(30)]),
    ("no match",      "route=/none",                         [sees(0),  sees(0),  sees(0)]),
    ("patterns",      "route=/s*&route=!/none",              [sees(10), sees(10), sees(30)]),
    ("not the only",  "route=!/scans",                       [sees(0),  sees(0),  sees(0)]),
    ("several",       "outcome=2xx&outcome=none&phase=!started", [sees(10), sees(10), sees(30)]),
    ("empty",         "user_email=",                         [WRONG,    WRONG,    WRONG]),
    ("unknown",       "user=bob@example.org",                [WRONG,    WRONG,    WRONG]),
    ("twice",         "since=1d&since=2d",                   [WRONG,    WRONG,    WRONG]),
    ("bad escape",    "user_email=bob%5C@example.org",       [WRONG,    WRONG,    WRONG]),
    ("bad and another", "user_email=bob@example.org&outcome=9999", [WRONG, WRONG, WRONG]),
];

const ROUTES: [&str; 5] = ["", "/", "/count", "/export", "/stats"];

/// The events are older than what is counted unless told.
fn uri(route: &str, filter: &str) -> String {
    match (route, filter.contains("since=")) {
        ("/stats", false) => {
            format!("/audit/stats?since=2026-05-25{}{filter}", if filter.is_empty() { "" } else { "&" })
        }
        _ => format!("/audit{route}?{filter}"),
    }
}

fn found(route: &str, answer: &Answer) -> u64 {
    match route {
        "/count" => answer.json().as_u64().expect("a number"),
        "/stats" => answer.json()["total"].as_u64().expect("a number"),
        "/export" => answer.text().lines().count() as u64,
        _ => answer.events().len() as u64,
    }
}

#[tokio::test]
async fn caller_by_route_by_filter() {
    for (store, _folder) in stores().await {
        let name = store.capabilities().name;
        store.append(&events(30)).await.unwrap();
        let app = app_over(store);
        for (about, filter, [alice, bob, admin]) in TABLE {
            let callers = [("", NOBODY), ("nameless", NOBODY), (ALICE, alice), (BOB, bob), (ROOT, admin)];
            for (caller, (status, count)) in callers {
                for route in ROUTES {
                    let uri = uri(route, filter);
                    let answer = ask(&app, caller, &uri).await;
                    let context = format!("{name}: {caller:?} asks for {about}: {uri}");
                    assert_eq!(answer.status, status, "{context}");
                    if status != 200 {
                        answer.assert_problem(status);
                        continue;
                    }
                    answer.assert_guarded();
                    assert_eq!(found(route, &answer), count, "{context}");
                    for other in [ALICE, BOB].into_iter().filter(|other| caller != ROOT && *other != caller) {
                        assert!(!answer.text().contains(other), "{context}");
                    }
                }
                // One event has no filters; who may ask at all is told so.
                let one = format!("/audit/{:032x}?{filter}", 1);
                let status = match (caller, filter) {
                    ("" | "nameless", _) => 401,
                    (ALICE | ROOT, "") => 200,
                    (_, "") => 404,
                    _ => 400,
                };
                assert_eq!(ask(&app, caller, &one).await.status, status, "{name}: {caller:?} asks for {one}");
                // The OpenAPI document is public.
                assert_eq!(ask(&app, caller, "/audit/openapi.json").await.status, 200);
            }
        }
        for (id, [alice, bob, admin]) in
            [(1, [200, 404, 200]), (2, [404, 200, 200]), (3, [404, 404, 200]), (99, [404, 404, 404])]
        {
            for (caller, status) in [("", 401), (ALICE, alice), (BOB, bob), (ROOT, admin), ("nobody", 404)] {
                let uri = format!("/audit/{id:032x}");
                assert_eq!(ask(&app, caller, &uri).await.status, status, "{name}: {caller:?} asks for {uri}");
            }
        }
    }
}

#[tokio::test]
async fn a_gate_that_fails_shows_nothing_whatever_is_asked() {
    tokio::time::pause();
    let spy = spy(&events(30)).await;
    let app = app(spy.clone());
    for caller in ["fails", "panics", "panics at once", "hangs"] {
        let mut answers = Vec::new();
        for (_, filter, _) in TABLE {
            for route in ROUTES {
                answers.push(ask(&app, caller, &uri(route, filter)).await);
            }
            answers.push(ask(&app, caller, &format!("/audit/{:032x}?{filter}", 1)).await);
        }
        answers.push(ask(&app, caller, "/audit/nonsense").await);
        answers[0].assert_problem(503);
        assert_eq!(answers[0].header("retry-after"), Some("1"));
        assert!(!answers[0].text().contains("secret"), "{answers:?}");
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "the answer depends on what was asked: {answers:?}");
        assert_eq!(ask(&app, caller, "/audit/openapi.json").await.status, 200);
    }
    assert!(spy.reads().is_empty());
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
                // Another caller's and nobody's: status, headers and their order, body.
                let hidden = ask_by(&app, method.clone(), ALICE, &format!("/audit/{another:032x}")).await;
                assert_eq!(hidden, missing);
                assert!(hidden.headers.iter().eq(missing.headers.iter()));
            }
        }
    }
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    ask(&app, ALICE, &format!("/audit/{:032x}", 2)).await;
    let hidden = spy.reads();
    ask(&app, ALICE, &format!("/audit/{:032x}", 99)).await;
    assert_eq!(hidden, [format!("get of {:?}", [ALICE])], "the store itself looks for no one else's");
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
        "%7B00000000000000000000000000000001%7D",
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
    own.truncate_to_limits();
    let app = app(spy(&[own, event(2, Some(BOB), "/scans")]).await);
    assert_eq!(ask(&app, &name, "/audit/").await.events().len(), 1);
    assert_eq!(ask(&app, &name, "/audit/00000000000000000000000000000001").await.status, 200);
}

#[tokio::test]
async fn a_caller_without_a_name_is_anonymous() {
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    for nameless in ["nameless", "nameless admin"] {
        for route in ROUTES {
            ask(&app, nameless, &format!("/audit{route}")).await.assert_problem(401);
        }
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
    let gate: Arc<dyn tower_audit::api::Gate> = Arc::new(TestGate);
    let store: Arc<dyn AuditStore> = Arc::new(spy(&events(3)).await);
    let app: axum::Router = AuditApi::from_store(store, gate).router("/audit");
    assert_eq!(ask(&app, ALICE, "/audit/count").await.text(), "1\n");
}
