//! Values that attackers choose: they are text wherever they are shown.

use serde_json::json;
use tower_audit::export::is_unsafe_to_display;
use tower_audit::{AuditEvent, EventType, Target};

use super::html::{Element, elements, viewer, viewer_over};
use crate::api::support::{ALICE, ROOT, ask, event, spy, stores};

const CORPUS: [&str; 18] = [
    "<script>alert(1)</script>",
    "</bdi></td></tr></table><script>alert(1)</script>",
    "\" autofocus onfocus=alert(1) x=\"",
    "' style='position:fixed",
    "<img src=x onerror=alert(1)>",
    "<!--later-->",
    "--><svg onload=alert(1)>",
    "</textarea></title></style>",
    "&lt;b&gt;&#x3c;&amp;",
    "javascript:alert(1)",
    "{{ 7*7 }}{% include \"x\" %}${7*7}",
    "\u{202e}ecila\u{2066}x\u{2069}",
    "ali\u{200b}ce\u{feff}\u{ad}\u{e0041}",
    "\u{1b}[2J\u{1b}]8;;http://x\u{7}\u{9b}31m\r\n\t\u{8}\u{7f}\u{2028}",
    "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "=cmd|' /C calc'!A0",
    "\u{1f4a3}\u{fffd}\u{10ffff}",
    "../../../etc/passwd?x=1&y=2#z",
];

/// An event that has the value wherever it may be.
fn event_of(value: &str) -> AuditEvent {
    let text = || Some(value.into());
    let mut event = event(1, Some(value), value);
    event.actor.remote_addr = text();
    event.actor.api_key_hash = text();
    event.resource.method = text();
    event.request.request_id = text();
    event.request.request_uri = text();
    event.request.user_agent = text();
    event.request.forwarded = text();
    event.request.trace_id = text();
    event.classification.domain = text();
    event.classification.action = text();
    event.targets.insert(Target::new("order", 7).with_label(value));
    event.targets.insert(Target::new("file", value));
    event.details.insert(value.into(), json!([value, { value: value }]));
    let path = format!("/{value}");
    event.details.insert(
        "changes".into(),
        json!([{"path": path, "from": value, "to": {value: [value]}}, {"path": "", "to": value}]),
    );
    event.extra.insert(value.into(), value.into());
    event.actor.extra.insert(format!("x{value}"), json!({ value: value }));
    event
}

/// The pages that show the event.
const PAGES: [&str; 4] = [
    "/ui/?since=2026-05-25",
    "/ui/overview?since=2026-05-25",
    "/ui/events/00000000000000000000000000000001",
    "/ui/history?target=order/7",
];

/// The parts of a page, without the boxes around escaped characters.
fn shape(elements: &[Element]) -> Vec<(&str, Vec<&str>)> {
    let is_box = |element: &&Element| !element.is_of_class("odd");
    elements
        .iter()
        .filter(is_box)
        .map(|element| {
            (element.tag.as_str(), element.attributes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
        })
        .collect()
}

#[tokio::test]
async fn no_value_changes_what_a_page_is_made_of() {
    let harmless = viewer(spy(&[event_of("harmless")]).await);
    for value in CORPUS {
        let ui = viewer(spy(&[event_of(value)]).await);
        for page in PAGES {
            let answer = ask(&ui, ROOT, page).await;
            assert_eq!(answer.status, 200, "{value:?} {page}");
            let (found, expected) = (elements(&answer), elements(&ask(&harmless, ROOT, page).await));
            assert_eq!(shape(&found), shape(&expected), "{value:?} {page}");
            let seen = answer.text().chars().find(|c| *c != '\n' && is_unsafe_to_display(*c));
            assert_eq!(seen, None, "{value:?} {page}");
        }
    }
}

#[tokio::test]
async fn a_value_is_seen_as_it_is() {
    for value in CORPUS {
        let ui = viewer(spy(&[event_of(value)]).await);
        let mut marks = 0;
        let shown: String = value
            .chars()
            .map(|c| {
                marks = if c == '\u{301}' { marks + 1 } else { 0 };
                if is_unsafe_to_display(c) || marks > 3 { c.escape_unicode().to_string() } else { c.to_string() }
            })
            .collect();
        for page in PAGES {
            let found = elements(&ask(&ui, ROOT, page).await);
            assert!(found.iter().any(|it| it.tag == "bdi" && it.text == shown), "{value:?} is not on {page}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_is_text_too() {
    for value in CORPUS {
        let query: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let ui = viewer(spy(&[event_of(value)]).await);
        for page in ["/ui/", "/ui/overview", "/ui/history"] {
            for name in ["user_email", "since", "target", "q", value] {
                let answer = ask(&ui, ROOT, &format!("{page}?{name}={query}", name = encoded(name))).await;
                assert!([200, 303, 400].contains(&answer.status.as_u16()), "{value:?}");
                if answer.status == 303 {
                    // A header of its own is no part of a page, and its text is encoded.
                    let location = answer.header("location").unwrap_or_default();
                    assert!(location.starts_with("./") && location.bytes().all(|byte| byte.is_ascii_graphic()));
                    continue;
                }
                for element in elements(&answer) {
                    assert!(!["script", "img", "b"].contains(&element.tag.as_str()), "{value:?}");
                    let is_own = element.attributes.iter().all(|(name, _)| !name.starts_with("on") && name != "style");
                    assert!(is_own, "{value:?}: {element:?}");
                }
            }
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn a_megabyte_is_cut_and_can_be_had() {
    // Stores take what others have written past the limits.
    for unit in ["a", "\u{202e}"] {
        let long = unit.repeat((1 << 20) / unit.len());
        let ui = viewer(spy(&[event_of(&long)]).await);
        for (page, at_most) in [(PAGES[0], 64 << 10), (PAGES[1], 64 << 10), (PAGES[3], 64 << 10)] {
            let answer = ask(&ui, ROOT, page).await;
            let bytes = answer.body.len();
            assert!(answer.status == 200 && bytes < at_most, "{page}: {bytes} bytes of {unit:?}");
            elements(&answer);
        }
        let answer = ask(&ui, ROOT, PAGES[2]).await;
        assert!(answer.body.len() < 64 << 20, "{} bytes", answer.body.len());
        assert!(answer.text().contains("class=\"cut-note\""), "{unit:?}");
        let json = ask(&ui, ROOT, &format!("{}/json", PAGES[2])).await.json();
        assert_eq!(json["request"]["user_agent"], long);
    }
}

#[tokio::test]
async fn an_event_of_a_later_version_is_shown_whole() {
    let mut later = AuditEvent::new(EventType::UPLOAD);
    later.actor = tower_audit::Actor::user(ALICE);
    later.extra.insert("region".into(), json!({ "name": "eu-west", "zones": [1, 2] }));
    later.request.extra.insert("tls".into(), "1.3".into());
    for (store, _folder) in stores().await {
        store.append(std::slice::from_ref(&later)).await.unwrap();
        let page = format!("/ui/events/{}", later.event_id);
        let text = elements(&ask(&viewer_over(store), ALICE, &page).await)[0].text.clone();
        for part in ["region", "eu-west", "zones", "tls", "1.3"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
