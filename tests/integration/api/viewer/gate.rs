//! Every page answers with the status that the API answers with, and shows no more than it.

use http::Method;
use tower_audit::AuditLog;
use tower_audit::api::AuditApi;
use tower_audit::store::StoreErrorKind;
use tower_audit::viewer::AuditViewer;

use super::html::{elements, viewer, viewer_over};
use crate::api::support::{ALICE, BOB, ROOT, TestGate, Trouble, app_over, ask, ask_by, events, spy, stores};

const CALLERS: [&str; 9] = ["", "nameless", "nameless admin", "fails", "panics", "panics at once", ALICE, BOB, ROOT];

#[tokio::test]
async fn a_page_is_refused_as_the_api_refuses() {
    let filters = [
        "",
        "user_email=alice@example.org",
        "user_email=bob@example.org",
        "user_email=*",
        "user_email=!*",
        "user_email=alice*",
        "user_email=alice@example.org&user_email=bob@example.org",
        "route=/s*&route=!/none",
        "outcome=none",
        "limit=0",
        "nonsense=1",
        "user=bob@example.org",
        "since=yesterday",
        "since=2d&since=1d",
        "since=1d&until=2d",
        "user_email=bob@example.org&since=x",
        "route=%ff",
        "route=%00",
        "cursor=x",
        "%ff=1",
    ];
    for (store, _folder) in stores().await {
        store.append(&events(30)).await.unwrap();
        let (api, ui) = (app_over(store.clone()), viewer_over(store));
        for caller in CALLERS {
            for filter in filters {
                for (of_api, of_ui) in [("/audit/", "/ui/"), ("/audit/", "/ui"), ("/audit/stats", "/ui/overview")] {
                    let expected = ask(&api, caller, &format!("{of_api}?{filter}")).await;
                    let answer = ask(&ui, caller, &format!("{of_ui}?{filter}")).await;
                    let context = format!("{caller:?} asks for {of_ui}?{filter}");
                    assert_eq!(answer.status, expected.status, "{context}");
                    for header in ["www-authenticate", "retry-after"] {
                        assert_eq!(answer.header(header), expected.header(header), "{context}");
                    }
                    elements(&answer);
                    if caller == ALICE {
                        // The page that refuses her may repeat her own words, and nothing else.
                        let shown = elements(&answer).into_iter().any(|it| it.tag == "td" && it.text.contains(BOB));
                        assert!(!shown, "{context}");
                    }
                }
            }
            for id in [1, 2, 3, 99] {
                let expected = ask(&api, caller, &format!("/audit/{id:032x}")).await;
                for page in ["", "/json"] {
                    let answer = ask(&ui, caller, &format!("/ui/events/{id:032x}{page}")).await;
                    assert_eq!(answer.status, expected.status, "{caller:?} asks for {id}{page}");
                }
            }
            for id in ["nonsense", "%ff", "..%2f", "00000000000000000000000000000001?x=1"] {
                let expected = ask(&api, caller, &format!("/audit/{id}")).await;
                assert_eq!(ask(&ui, caller, &format!("/ui/events/{id}")).await.status, expected.status, "{id}");
            }
        }
    }
}

#[tokio::test]
async fn a_user_sees_their_own_events_and_an_administrator_all() {
    for (store, _folder) in stores().await {
        store.append(&events(30)).await.unwrap();
        let ui = viewer_over(store);
        for (caller, count) in [(ALICE, 10), (BOB, 10), (ROOT, 30), ("nobody", 0)] {
            let answer = ask(&ui, caller, "/ui/?since=2026-05-25").await;
            let rows =
                elements(&answer).into_iter().filter(|it| it.tag == "th" && it.attribute("scope") == Some("row"));
            let rows = rows.filter(|it| it.attribute("data-of") == Some("Time")).count();
            assert_eq!(rows, count, "{caller}");
            let numbers = elements(&answer).into_iter().find(|it| it.attribute("id") == Some("activity")).unwrap();
            assert!(numbers.text.starts_with(&format!("{count} event")), "{caller}: {numbers:?}");
        }
    }
}

#[tokio::test]
async fn what_is_missing_and_what_is_anothers_look_the_same() {
    let spy = spy(&events(30)).await;
    let ui = viewer(spy.clone());
    for method in [Method::GET, Method::HEAD] {
        let missing = ask_by(&ui, method.clone(), ALICE, &format!("/ui/events/{:032x}", 99)).await;
        assert_eq!(missing.status, 404);
        for another in [2, 3] {
            let hidden = ask_by(&ui, method.clone(), ALICE, &format!("/ui/events/{another:032x}")).await;
            assert_eq!(hidden, missing);
        }
    }
    let own = format!("get of {:?}", [ALICE]);
    assert_eq!(spy.reads(), [own.as_str(); 6], "the store does the same work for each, and no more");
}

#[tokio::test]
async fn the_store_is_not_asked_for_who_gets_nothing() {
    let spy = spy(&events(3)).await;
    let ui = viewer(spy.clone());
    for page in ["", "/", "/overview", "/history"] {
        assert_eq!(ask(&ui, ALICE, &format!("/ui{page}?target=order/7&user_email={BOB}")).await.status, 403);
        assert_eq!(ask(&ui, "", &format!("/ui{page}")).await.status, 401);
        assert_eq!(ask(&ui, ALICE, &format!("/ui{page}?nonsense=1")).await.status, 400);
    }
    assert_eq!(ask(&ui, "", "/ui/events/00000000000000000000000000000001").await.status, 401);
    assert_eq!(ask(&ui, ALICE, "/ui/events/nonsense").await.status, 400);
    assert!(spy.reads().is_empty());
    ask(&ui, ALICE, "/ui/?since=2026-05-25").await;
    ask(&ui, ALICE, "/ui/overview?since=2026-05-25").await;
    ask(&ui, ALICE, "/ui/history?target=order/7").await;
    ask(&ui, ALICE, "/ui/events/00000000000000000000000000000001").await;
    let reads = spy.reads();
    let own = format!("of {:?}", [ALICE]);
    assert!(reads.len() > 10 && reads.iter().all(|read| read.ends_with(&own)), "{reads:?}");
}

#[tokio::test]
async fn no_store_comes_before_everything() {
    let off: axum::Router = AuditViewer::new(&AuditLog::disabled(), TestGate).router("/ui");
    let store = std::sync::Arc::new(spy(&events(3)).await);
    let unrecorded: axum::Router =
        AuditViewer::from_store(store, TestGate).record_reads(&AuditLog::disabled()).router("/ui");
    for ui in [off, unrecorded] {
        for caller in CALLERS {
            for page in ["", "/", "/overview", "/?limit=x", "/?user_email=bob", "/events/nonsense", "/events/%ff"] {
                let answer = ask(&ui, caller, &format!("/ui{page}")).await;
                assert_eq!(answer.status, 501, "{caller:?} {page}");
                elements(&answer);
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_as_the_api_tells_it() {
    tokio::time::pause();
    for trouble in [
        Trouble::Fails(StoreErrorKind::Transient),
        Trouble::Fails(StoreErrorKind::Permanent),
        Trouble::Hangs,
        Trouble::Panics,
    ] {
        let spy = spy(&events(3)).await;
        spy.trouble_after(0, trouble);
        let (api, ui): (axum::Router, _) =
            (AuditApi::from_store(std::sync::Arc::new(spy.clone()), TestGate).router("/audit"), viewer(spy));
        let id = "00000000000000000000000000000001";
        for (of_api, of_ui) in [
            ("/audit/".to_owned(), "/ui/".to_owned()),
            ("/audit/stats".into(), "/ui/overview".into()),
            (format!("/audit/{id}"), format!("/ui/events/{id}")),
        ] {
            let (expected, answer) = (ask(&api, ROOT, &of_api).await, ask(&ui, ROOT, &of_ui).await);
            assert_eq!(answer.status, expected.status, "{trouble:?} {of_ui}");
            assert!(answer.status.is_server_error() && !answer.text().contains("secret"), "{answer:?}");
            elements(&answer);
        }
    }
}

#[tokio::test]
async fn what_fails_later_leaves_the_rest_of_the_page() {
    let id = "00000000000000000000000000000001";
    for (page, reads) in
        [("/ui/".to_owned(), 1), ("/ui/overview?since=2026-05-25".into(), 2), (format!("/ui/events/{id}"), 1)]
    {
        let spy = spy(&events(3)).await;
        spy.trouble_after(reads, Trouble::Fails(StoreErrorKind::Permanent));
        let answer = ask(&viewer(spy), ROOT, &page).await;
        assert_eq!(answer.status, 200, "{page}");
        let elements = elements(&answer);
        assert!(
            elements.iter().any(|it| it.is_of_class("unread") && it.text.contains("cannot be read for now")),
            "{page}"
        );
        assert!(elements.iter().any(|it| it.tag == "footer"), "{page} has no end");
        assert!(!answer.text().contains("secret"));
    }
}

#[tokio::test]
async fn other_verbs_are_refused() {
    let ui = viewer(spy(&events(3)).await);
    let id = "00000000000000000000000000000001";
    for page in [
        "/ui",
        "/ui/",
        "/ui/overview",
        "/ui/history?target=order/7",
        &format!("/ui/events/{id}"),
        &format!("/ui/events/{id}/json"),
        "/ui/export",
    ] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = ask_by(&ui, method, ROOT, page).await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET,HEAD")), "{page}");
        }
        let head = ask_by(&ui, Method::HEAD, ROOT, page).await;
        assert!(head.status == 200 && head.body.is_empty(), "{page}");
    }
}
