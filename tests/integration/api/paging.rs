//! Pages and their cursors.

use std::collections::HashMap;

use tower_audit::api::AUDIT_NEXT_CURSOR;

use crate::api::support::{ALICE, Answer, BOB, ROOT, app, app_over, ask, event, events, spy, stores};

/// The address of the next page, as its link says.
pub(crate) fn next(answer: &Answer, at: &str) -> Option<String> {
    let link = answer.header("link")?;
    let query = link.strip_prefix("<?").and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a next link");
    let cursor = answer.header(AUDIT_NEXT_CURSOR.as_str()).expect("both headers, or none");
    assert!(query.ends_with(&format!("&cursor={cursor}")));
    Some(format!("{at}?{query}"))
}

#[tokio::test]
async fn each_event_is_on_one_page_while_others_arrive() {
    for (store, _folder) in stores().await {
        let before = events(60);
        store.append(&before).await.unwrap();
        let app = app_over(store.clone());
        for (caller, expected) in [(ROOT, 60), (ALICE, 20)] {
            let mut seen = HashMap::new();
            let mut uri = "/audit/?limit=7&since=2026-05-25".to_owned();
            let mut late = 1000;
            loop {
                let answer = ask(&app, caller, &uri).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                for event in answer.events() {
                    *seen.entry(event.event_id).or_insert(0) += 1;
                }
                // Newer ones, and one as old as the last on this page, with a greater id.
                let mut tie = answer.events().pop().expect("no page is empty");
                tie.event_id = tower_audit::EventId::from_u128(1 << 100 | late);
                let newer = event(3000 + u64::try_from(late).unwrap(), Some(ALICE), "/scans");
                store.append(&[tie, newer]).await.unwrap();
                late += 1;
                let Some(following) = next(&answer, "/audit/") else { break };
                uri = following;
            }
            assert!(seen.values().all(|times| *times == 1));
            let found = before.iter().filter(|event| seen.contains_key(&event.event_id)).count();
            assert_eq!(found, expected);
        }
    }
}

#[tokio::test]
async fn the_last_page_has_no_next() {
    let app = app(spy(&events(6)).await);
    for (query, len, more) in [
        ("", 6, false),
        ("limit=6", 6, false),
        ("limit=5", 5, true),
        ("limit=3&skip=3", 3, false),
        ("skip=9", 0, false),
    ] {
        let answer = ask(&app, ROOT, &format!("/audit/?{query}")).await;
        assert_eq!((answer.events().len(), answer.headers.contains_key("link")), (len, more), "{query}");
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_events_and_a_thousand_at_the_most() {
    let app = app(spy(&events(1100)).await);
    for (query, len) in [("", 100), ("?limit=1000", 1000), ("?limit=1001", 1000), ("?limit=99999999999999999999", 1000)]
    {
        assert_eq!(ask(&app, ROOT, &format!("/audit/{query}")).await.events().len(), len);
    }
    ask(&app, ROOT, "/audit/?limit=0").await.assert_problem(400);
}

#[tokio::test]
async fn skip_leaves_out_and_is_not_repeated() {
    let all = events(30);
    let app = app(spy(&all).await);
    let first = ask(&app, ROOT, "/audit/?skip=5&limit=10").await;
    let second = ask(&app, ROOT, &next(&first, "/audit/").unwrap()).await;
    let ids: Vec<_> = [first.events(), second.events()].concat().iter().map(|event| event.event_id).collect();
    let expected: Vec<_> = all.iter().rev().skip(5).take(20).map(|event| event.event_id).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_filters_and_its_caller_only() {
    let app = app(spy(&events(60)).await);
    let filters = ["", "route=/scans&", "user_email=alice@example.org&", "event_type=upload&", "since=7d&"];
    let mut cursors = Vec::new();
    for caller in [ALICE, BOB, ROOT] {
        for filter in filters {
            let answer = ask(&app, caller, &format!("/audit/?{filter}limit=2")).await;
            if let Some(cursor) = answer.header("audit-next-cursor") {
                cursors.push((caller, filter, cursor.to_owned()));
            }
        }
    }
    assert!(cursors.len() > 8);
    for (caller, filter, cursor) in &cursors {
        for other_caller in [ALICE, BOB, ROOT] {
            for other_filter in filters {
                // `limit` and `format` are no filters.
                let answer = ask(&app, other_caller, &format!("/audit/?limit=5&{other_filter}cursor={cursor}")).await;
                let fits = caller == &other_caller && filter == &other_filter;
                assert_eq!(
                    answer.status,
                    if fits { 200 } else { 400 },
                    "{caller} {filter} {other_caller} {other_filter}"
                );
            }
        }
        // In any order, encoded in any way.
        let same = format!("/audit/?cursor={cursor}&{}", filter.trim_end_matches('&').replace("/scans", "%2Fscans"));
        assert_eq!(ask(&app, caller, same.trim_end_matches('&')).await.status, 200);
    }
    let (_, _, cursor) = &cursors[0];
    for at in 0..cursor.len() {
        let mut changed = cursor.clone();
        changed.replace_range(at..=at, if &cursor[at..=at] == "A" { "B" } else { "A" });
        ask(&app, ALICE, &format!("/audit/?cursor={changed}")).await.assert_problem(400);
    }
    for wrong in [format!("{cursor}A"), cursor[1..].into(), "%3D".into(), "AQ".into(), format!("{cursor}%3D")] {
        ask(&app, ALICE, &format!("/audit/?cursor={wrong}")).await.assert_problem(400);
    }
}
