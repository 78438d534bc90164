//! Filters, pages and links.

use std::collections::{BTreeSet, HashSet};

use tower_audit::store::{AuditStore, MemoryStore};
use tower_audit::{AuditEvent, EventId, Phase};

use super::html::{Element, elements, viewer, viewer_over};
use crate::api::support::{ALICE, Answer, BOB, ROOT, ask, event, events, spy, stores};

/// Resolves a link on a page, as a browser does.
fn resolve(page: &str, link: &str) -> String {
    let path = page.split('?').next().unwrap_or_default();
    if link.starts_with('?') {
        return format!("{path}{link}");
    }
    let (target, query) =
        link.split_once('?').map_or((link, String::new()), |(target, query)| (target, format!("?{query}")));
    if target.starts_with('/') {
        return link.to_owned();
    }
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            name => folders.push(name),
        }
    }
    format!("{}{query}", folders.join("/"))
}

/// The ids in the table, in their order.
fn ids(answer: &Answer) -> Vec<EventId> {
    let is_row = |it: &Element| it.tag == "a" && it.attribute("href").is_some_and(|href| href.contains("events/"));
    elements(answer)
        .into_iter()
        .filter(is_row)
        .filter_map(|it| it.attribute("href").and_then(|href| href.rsplit('/').next()?.parse().ok()))
        .collect()
}

fn link(answer: &Answer, page: &str, text: &str) -> Option<String> {
    let found = elements(answer).into_iter().find(|it| it.tag == "a" && it.text == text)?;
    Some(resolve(page, found.attribute("href")?))
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let mut all = events(120);
    for (n, event) in all.iter_mut().enumerate() {
        event.outcome = [Some(200), Some(403), Some(500), None][n % 4];
        event.phase = [Phase::Completed, Phase::Started][n % 2];
        event.request.request_id = Some(format!("r{}", n / 2).into());
    }
    let store = spy(&all).await;
    let mounts = [
        (viewer(store.clone()), "/ui"),
        (axum::Router::new().nest("/cgi", viewer(store.clone())), "/cgi/ui"),
        (
            tower_audit::viewer::AuditViewer::from_store(std::sync::Arc::new(store), crate::api::support::TestGate)
                .router(""),
            "",
        ),
    ];
    for (ui, mount) in mounts {
        for caller in [ROOT, ALICE] {
            let mut seen = HashSet::new();
            let mut next =
                vec![format!("{mount}/?since=2026-05-25&limit=20"), format!("{mount}/overview?since=2026-05-25")];
            if !mount.is_empty() {
                next.push(format!("{mount}?limit=20"));
            }
            while let Some(page) = next.pop() {
                if !seen.insert(page.clone()) || seen.len() > 60 {
                    continue;
                }
                let answer = ask(&ui, caller, &page).await;
                assert_eq!(answer.status, 200, "{caller} {page}");
                if answer.header("content-type") != Some("text/html; charset=utf-8") {
                    continue;
                }
                let found = elements(&answer);
                let targets = found.iter().filter(|it| ["a", "link"].contains(&it.tag.as_str()));
                let mut targets: Vec<_> = targets.filter_map(|it| it.attribute("href")).map(str::to_owned).collect();
                targets.dedup();
                for target in targets {
                    match target.strip_prefix('#') {
                        Some(id) => assert!(found.iter().any(|it| it.attribute("id") == Some(id)), "{page} {target}"),
                        None => next.push(resolve(&page, &target)),
                    }
                }
                let mut named = BTreeSet::new();
                for id in found.iter().filter_map(|it| it.attribute("id")) {
                    assert!(named.insert(id.to_owned()), "{page}: {id} is there twice");
                }
                for (tag, name) in
                    [("use", "href"), ("label", "for"), ("section", "aria-labelledby"), ("input", "list")]
                {
                    for value in found.iter().filter(|it| it.tag == tag).filter_map(|it| it.attribute(name)) {
                        assert!(named.contains(value.trim_start_matches('#')), "{page}: no {value}");
                    }
                }
            }
            assert!(seen.len() > 50, "{mount} {caller}: only {} pages", seen.len());
        }
    }
}

#[tokio::test]
async fn pages_lead_there_and_back_while_others_arrive() {
    for (store, _folder) in stores().await {
        // Several events of each moment.
        let mut all = events(60);
        all.iter_mut().for_each(|event| {
            event.created_at = format!("2026-05-25T12:00:{:02}Z", event.event_id.as_u128() / 4).parse().unwrap()
        });
        store.append(&all).await.unwrap();
        let ui = viewer_over(store.clone());
        for (caller, expected) in [(ROOT, 60), (ALICE, 20)] {
            let own = |event: &&AuditEvent| caller == ROOT || event.actor.user_email.as_deref() == Some(ALICE);
            let mut page = "/ui/?limit=7&since=2026-05-25&until=2026-05-25+12%3A30".to_owned();
            let (mut there, mut late) = (Vec::new(), 1000);
            loop {
                let answer = ask(&ui, caller, &page).await;
                there.push(ids(&answer));
                late += 1;
                // Newer than all, and outside of the span, so that the pages stay what they are.
                let arriving = [(3000 + late, ALICE), (4000 + late, BOB)].map(|(n, user)| {
                    let mut event = event(n, Some(user), "/scans");
                    event.created_at = "2026-05-25T13:00:00Z".parse().unwrap();
                    event
                });
                store.append(&arriving).await.unwrap();
                let Some(older) = link(&answer, &page, "Older →") else { break };
                page = older;
            }
            let flat: Vec<_> = there.iter().flatten().copied().collect();
            let mut wanted: Vec<_> = all.iter().filter(own).collect();
            wanted.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
            assert_eq!(flat, wanted.iter().map(|event| event.event_id).collect::<Vec<_>>());
            assert_eq!(flat.len(), expected);
            // The way back.
            for expected in there.iter().rev().skip(1) {
                let answer = ask(&ui, caller, &page).await;
                page = link(&answer, &page, "← Newer").expect("a way back");
                assert_eq!(&ids(&ask(&ui, caller, &page).await), expected);
            }
            let first = ask(&ui, caller, &page).await;
            page = link(&first, &page, "Newest").unwrap_or(page);
            assert_eq!(ids(&ask(&ui, caller, &page).await), there[0]);
        }
    }
}

#[tokio::test]
async fn very_many_events_of_one_moment_are_walked_through() {
    let store = MemoryStore::new();
    let mut all: Vec<_> = (1..=2600).map(|n| event(n, Some(ALICE), "/scans")).collect();
    all.iter_mut().for_each(|event| event.created_at = "2026-05-25T12:00:00Z".parse().unwrap());
    store.append(&all).await.unwrap();
    let ui = viewer(store);
    let mut page = "/ui/?limit=1000&since=2026-05-25".to_owned();
    let first = ids(&ask(&ui, ROOT, &page).await);
    for text in ["Older →", "Older →", "← Newer", "← Newer"] {
        let answer = ask(&ui, ROOT, &page).await;
        page = link(&answer, &page, text).unwrap_or_else(|| panic!("no {text} on {page}"));
    }
    assert_eq!(ids(&ask(&ui, ROOT, &page).await), first);
}

#[tokio::test]
async fn a_link_to_a_page_shows_the_same_later() {
    for (store, _folder) in stores().await {
        store.append(&events(30)).await.unwrap();
        let ui = viewer_over(store.clone());
        let page = "/ui/?limit=10&user_email=%2a%40example.org";
        let answer = ask(&ui, ROOT, page).await;
        let pinned = link(&answer, page, "Link to this page").unwrap();
        store.append(&[event(100, Some(ALICE), "/scans")]).await.unwrap();
        assert_ne!(ids(&ask(&ui, ROOT, page).await), ids(&answer));
        assert_eq!(ids(&ask(&ui, ROOT, &pinned).await), ids(&answer));
        // It grants nothing: Alice has no use for it.
        assert_eq!(ask(&ui, ALICE, &pinned).await.status, 400);
    }
}

#[tokio::test]
async fn a_form_asks_again_what_was_asked() {
    let ui = viewer(spy(&events(30)).await);
    for asked in [
        "",
        "user_email=alice%40example.org&user_email=%21bob%2A",
        "event_type=upload&since=2026-05-25&until=2026-06-01&outcome=2xx&outcome=%21204&outcome=none&route=%2Fscans%2A\
         &route=%21%2Fx&remote_addr=%21%2A&phase=completed&phase=%21unknown&limit=7",
        "route=%3Cscript%3E%22%27%26%E2%80%AE%5C%2A",
        "route=%2Fx&method=PATCH&target=order%2F7&target=order%2F8&detail=plan%3Dgold&folded=false",
    ] {
        for page in ["/ui/", "/ui/overview"] {
            let asked = if page == "/ui/" { asked.to_owned() } else { asked.replace("&limit=7", "") };
            let query = if asked.is_empty() { String::new() } else { format!("?{asked}") };
            let answer = ask(&ui, ROOT, &format!("{page}{query}")).await;
            assert_eq!(answer.status, 200, "{asked}");
            // A browser sends every field with a name, in the order of the page.
            let fields: Vec<_> = elements(&answer)
                .iter()
                .filter(|it| it.tag == "input" && it.attribute("name") != Some("q"))
                .map(|it| (it.attribute("name").unwrap().to_owned(), it.attribute("value").unwrap().to_owned()))
                .collect();
            assert!(fields.len() >= 8);
            let encode = |text: &str| -> String {
                text.bytes()
                    .map(|b| {
                        if b.is_ascii_alphanumeric() || b"_.-".contains(&b) {
                            char::from(b).to_string()
                        } else {
                            format!("%{b:02X}")
                        }
                    })
                    .collect()
            };
            let sent: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
            let moved = ask(&ui, ROOT, &format!("{page}?{}", sent.join("&"))).await;
            assert_eq!(moved.status, 303);
            let place = resolve(page, moved.header("location").unwrap());
            let sorted = |query: &str| query.split('&').map(str::to_owned).collect::<BTreeSet<_>>();
            let came = place.split_once('?').map_or("", |(_, query)| query);
            assert_eq!(sorted(came), sorted(&asked), "{page}");
            assert_eq!(place.split('?').next(), Some(page));
        }
    }
}

#[tokio::test]
async fn who_is_no_administrator_is_offered_no_other_user() {
    let ui = viewer(spy(&events(30)).await);
    for page in ["/ui/", "/ui/overview?since=2026-05-25", "/ui/events/00000000000000000000000000000001"] {
        let own = elements(&ask(&ui, ALICE, page).await);
        let names = |it: &Element| it.attribute("name") == Some("user_email");
        assert!(!own.iter().any(names), "{page}");
        let links = own.iter().filter_map(|it| it.attribute("href")).filter(|href| href.contains("user_email"));
        assert_eq!(links.count(), 0, "{page}");
    }
}

#[tokio::test]
async fn how_it_went_is_told_in_words_and_signs() {
    let kinds = ["done", "noted", "denied", "rejected", "failed", "panicked", "aborted", "started", "unknown"];
    let all: Vec<_> = (1..)
        .zip([Some(200), None, Some(403), Some(404), Some(503), Some(500), None, None, None])
        .map(|(n, outcome)| {
            let mut event = event(n, if n == 1 { None } else { Some(ALICE) }, "/scans");
            event.outcome = outcome;
            match n {
                6 => drop(event.details.insert("panic".into(), true.into())),
                7 => drop(event.details.insert("aborted".into(), true.into())),
                8 => event.phase = Phase::Started,
                9 => event.phase = Phase::Unknown,
                _ => {}
            }
            event
        })
        .collect();
    for (store, _folder) in stores().await {
        store.append(&all).await.unwrap();
        let found = elements(&ask(&viewer_over(store), ROOT, "/ui/").await);
        let words: Vec<_> = found.iter().filter(|it| it.is_of_class("word")).map(|it| it.text.as_str()).collect();
        assert_eq!(words, kinds.iter().rev().copied().collect::<Vec<_>>());
        let signs: Vec<_> = found.iter().filter(|it| it.tag == "use").filter_map(|it| it.attribute("href")).collect();
        for kind in kinds {
            assert!(signs.contains(&format!("#s-{kind}").as_str()), "no sign for {kind}");
        }
        let anonymous = found.iter().filter(|it| it.is_of_class("anonymous")).map(|it| it.text.as_str());
        assert_eq!(anonymous.collect::<Vec<_>>(), ["Anonymous"]);
    }
}

#[tokio::test]
async fn an_event_has_its_neighbours() {
    for (store, _folder) in stores().await {
        let mut all: Vec<_> =
            (1..=40).map(|n| event(n, [Some(ALICE), Some(BOB), None][n as usize % 3], "/scans")).collect();
        let id = |n: u64| EventId::from_u128(u128::from(n));
        // 10, Bob's, was started, and ended 12 events later, under another name.
        for n in [10, 22] {
            all[n - 1].request.request_id = Some("r1".into());
        }
        all[9].phase = Phase::Started;
        all[21].request.started_event_id = Some(id(10));
        all[21].actor.user_email = Some(ALICE.into());
        // Of another request that calls itself the same, on another route.
        all[10].request.request_id = Some("r1".into());
        all[10].resource.route = Some("/view".into());
        all.iter_mut().for_each(|event| event.actor.remote_addr = Some("192.0.2.7".into()));
        store.append(&all).await.unwrap();
        let ui = viewer_over(store);
        let near = |answer: &Answer| {
            let links = elements(answer).into_iter().filter(|it| it.is_of_class("step") && it.tag == "a");
            let number = |it: Element| {
                u64::from_str_radix(it.attribute("href").unwrap().rsplit('/').next().unwrap(), 16).unwrap()
            };
            links.map(number).collect::<Vec<_>>()
        };
        for (caller, of, expected) in [
            (ROOT, 10, [22, 19, 16, 13, 7, 4, 1].as_slice()),
            (ROOT, 22, &[10, 30, 27, 24, 21, 18, 15]),
            // An actor without a name is found by the address.
            (ROOT, 20, &[29, 26, 23, 17, 14, 11]),
            // Alice may not see what Bob began.
            (ALICE, 22, &[30, 27, 24, 21, 18, 15]),
            (ALICE, 3, &[12, 9, 6]),
            (ALICE, 39, &[36, 33, 30]),
        ] {
            let answer = ask(&ui, caller, &format!("/ui/events/{}", id(of))).await;
            assert_eq!(answer.status, 200);
            assert_eq!(near(&answer), expected, "{caller}: {of}");
        }
    }
}
