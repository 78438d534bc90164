//! The history of an object, one line an action, and the search box.

use serde_json::json;
use tower_audit::{Actor, AuditEvent, ChangeSet, Phase, Target};

use super::html::{elements, viewer_over};
use crate::api::support::{ALICE, Answer, BOB, ROOT, ask, event, stores};

/// Alice makes order 7, Bob changes it with a `started` event before, and another is open; order 8 is Alice's.
fn orders() -> Vec<AuditEvent> {
    let of = |n: u64, user: &str, id: u64| {
        let mut event = event(n, Some(user), "/orders/{id}");
        event.request.request_uri = Some(format!("/orders/{id}").into());
        event.targets.insert(Target::new("order", id).with_label("of Alice"));
        event
    };
    let mut made = of(1, ALICE, 7);
    made.details = ChangeSet::between_json(json!(null), json!({"status": "open", "token": "S3cr3t"})).into_details();
    let mut started = of(2, BOB, 7);
    (started.phase, started.outcome) = (Phase::Started, None);
    let mut changed = of(3, BOB, 7);
    changed.actor = Actor::user(BOB).acting_for("carol");
    changed.request.started_event_id = Some(started.event_id);
    let (before, after) = (json!({"status": "open", "note": "call"}), json!({"status": "shipped", "by": "post"}));
    changed.details = ChangeSet::between_json(before, after).into_details();
    let other = of(4, ALICE, 8);
    let mut open = of(5, BOB, 7);
    (open.phase, open.outcome) = (Phase::Started, None);
    vec![made, started, changed, other, open]
}

/// The numbers of the events that a page links to, each once and in order.
fn shown(answer: &Answer) -> Vec<u64> {
    let mut numbers: Vec<u64> = elements(answer)
        .iter()
        .filter(|it| it.tag == "a")
        .filter_map(|it| it.attribute("href")?.rsplit_once("events/")?.1.parse::<tower_audit::EventId>().ok())
        .filter_map(|id| u64::try_from(id.as_u128()).ok())
        .collect();
    numbers.dedup();
    numbers
}

fn texts(answer: &Answer, tag: &str) -> Vec<String> {
    elements(answer).into_iter().filter(|it| it.tag == tag).map(|it| it.text).collect()
}

#[tokio::test]
async fn an_object_has_a_history_with_what_each_action_changed() {
    for (store, _folder) in stores().await {
        store.append(&orders()).await.unwrap();
        let ui = viewer_over(store);
        let page = ask(&ui, ROOT, "/ui/history?target=order/7").await;
        assert_eq!((page.status.as_u16(), shown(&page)), (200, vec![5, 3, 1]));
        assert_eq!(texts(&page, "del"), ["\"call\"", "\"open\""]);
        assert_eq!(texts(&page, "ins"), ["\"post\"", "\"shipped\"", "\"open\"", "\"***\""]);
        assert!(!page.text().contains("S3cr3t"));
        assert_eq!(shown(&ask(&ui, ROOT, "/ui/history?target=order/7&folded=false").await), [5, 3, 2, 1]);
        // A user sees what they did themselves, and nothing of others, as everywhere.
        assert_eq!(shown(&ask(&ui, ALICE, "/ui/history?target=order/7").await), [1]);
        assert!(shown(&ask(&ui, "nobody", "/ui/history?target=order/7").await).is_empty());
        assert_eq!(ask(&ui, "", "/ui/history?target=order/7").await.status, 401);
        // Page by page.
        let first = ask(&ui, ROOT, "/ui/history?target=order/7&limit=2").await;
        let next = elements(&first).into_iter().find(|it| it.tag == "a" && it.text.starts_with("Older")).unwrap();
        let next = next.attribute("href").unwrap().replace("./", "/ui/");
        assert_eq!((shown(&first), shown(&ask(&ui, ROOT, &next).await)), (vec![5, 3], vec![1]));
        // Without an object it is the list.
        assert_eq!(ask(&ui, ROOT, "/ui/history?outcome=200").await.header("location"), Some("./?outcome=200"));
        assert_eq!(ask(&ui, ROOT, "/ui/history?target=order").await.status, 400);
    }
}

#[tokio::test]
async fn an_event_leads_to_the_history_of_its_objects() {
    for (store, _folder) in stores().await {
        store.append(&orders()).await.unwrap();
        let ui = viewer_over(store);
        let page = ask(&ui, ROOT, &format!("/ui/events/{:032x}", 3)).await;
        let links: Vec<_> =
            elements(&page).into_iter().filter_map(|it| Some(it.attribute("href")?.to_owned())).collect();
        for link in ["../history?target=order%2F7", "../?target=order%2F7", "../?acting_for=carol"] {
            assert!(links.iter().any(|it| it == link), "{link}: {links:?}");
        }
        assert_eq!(texts(&page, "del"), ["\"call\"", "\"open\""]);
    }
}

#[tokio::test]
async fn an_action_is_one_line_and_counts_agree() {
    for (store, _folder) in stores().await {
        store.append(&orders()).await.unwrap();
        let ui = viewer_over(store);
        let total = |answer: &Answer| {
            let title = elements(answer).into_iter().find(|it| it.attribute("id") == Some("activity")).unwrap();
            title.text.split(' ').next().unwrap().to_owned()
        };
        for (query, expected) in [("", "4"), ("&folded=false", "5"), ("&folded=true", "4")] {
            let list = ask(&ui, ROOT, &format!("/ui/?since=2026-05-25{query}")).await;
            let overview = ask(&ui, ROOT, &format!("/ui/overview?since=2026-05-25{query}")).await;
            assert_eq!((total(&list), total(&overview)), (expected.into(), expected.into()), "{query}");
            assert_eq!(texts(&list, "tr").iter().filter(|row| row.contains("/orders/")).count().to_string(), expected);
            let export = elements(&list).into_iter().find(|it| it.tag == "a" && it.text == "JSON lines").unwrap();
            let export = ask(&ui, ROOT, &export.attribute("href").unwrap().replace("./", "/ui/")).await;
            assert_eq!(export.text().lines().count().to_string(), expected, "{query}");
        }
        // Two orders of one route are two rows that differ.
        let list = ask(&ui, ROOT, "/ui/?since=2026-05-25").await;
        assert!(texts(&list, "td").iter().any(|it| it.contains("/orders/8")));
    }
}

#[tokio::test]
async fn the_search_box_becomes_filters_or_says_why_not() {
    let store = stores().await.swap_remove(0).0;
    store.append(&orders()).await.unwrap();
    let ui = viewer_over(store);
    let leads_to = async |words: &str| {
        let answer = ask(&ui, ROOT, &format!("/ui/?q={words}")).await;
        (answer.status.as_u16(), answer.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(
        leads_to("alice+2xx+order/7+since:2026-05-25").await,
        (303, "./?user_email=alice%2A&outcome=2xx&target=order%2F7&since=2026-05-25".into())
    );
    let id = tower_audit::EventId::new();
    assert_eq!(leads_to(&id.to_string()).await, (303, format!("./events/{id}")));
    assert_eq!(leads_to("").await, (303, "./".into()));
    for words in ["%22alice", "since:yesterday", "%ff", &"a".repeat(3000)] {
        assert_eq!(leads_to(words).await.0, 400, "{words}");
    }
    assert_eq!(ask(&ui, "", "/ui/?q=alice").await.status, 401);
    let found = ask(&ui, ROOT, "/ui/?user_email=alice%2A&target=order%2F7").await;
    assert_eq!(shown(&found), [1]);
    assert!(texts(&found, "a").iter().any(|it| it.contains("target is order/7")), "{:?}", texts(&found, "a"));
}

#[tokio::test]
async fn all_time_is_the_time_of_the_log() {
    for (store, _folder) in stores().await {
        store.append(&orders()).await.unwrap();
        let ui = viewer_over(store);
        for page in ["/ui/", "/ui/overview"] {
            let answer = ask(&ui, ROOT, &format!("{page}?since=1970-01-01")).await;
            let title = elements(&answer).into_iter().find(|it| it.attribute("id") == Some("activity")).unwrap();
            assert!(title.text.starts_with("4 events") && !title.text.contains("1970"), "{page}: {}", title.text);
            let bars = elements(&answer).iter().filter(|it| it.is_of_class("bar") && it.tag == "rect").count();
            assert!(bars > 0, "{page}");
        }
        let list = ask(&ui, ROOT, "/ui/").await;
        let all = elements(&list).into_iter().find(|it| it.tag == "a" && it.text == "All time").unwrap();
        assert_eq!(all.attribute("href"), Some("./?since=1970-01-01"));
    }
}
