//! Security and cache headers of the viewer's answers.

use super::html::{elements, viewer};
use crate::api::support::{ALICE, ROOT, ask, events, spy};

#[tokio::test]
async fn every_answer_is_guarded() {
    let ui = viewer(spy(&events(3)).await);
    let list = ask(&ui, ROOT, "/ui/").await;
    let style = elements(&list).into_iter().find(|it| it.attribute("rel") == Some("stylesheet")).unwrap();
    let style = style.attribute("href").unwrap().replace("./", "/ui/");
    let id = "00000000000000000000000000000001";
    for (caller, path, status) in [
        (ROOT, "/ui".to_owned(), 200),
        (ROOT, "/ui/".into(), 200),
        (ROOT, "/ui/?user_email=&outcome=".into(), 303),
        (ROOT, "/ui/overview".into(), 200),
        (ROOT, format!("/ui/events/{id}"), 200),
        (ROOT, format!("/ui/events/{id}/json"), 200),
        (ROOT, "/ui/export".into(), 200),
        ("", "/ui/".into(), 401),
        (ALICE, "/ui/?x=1".into(), 400),
        (ALICE, "/ui/?user_email=bob".into(), 403),
        (ALICE, format!("/ui/events/{id:0>32}", id = "2"), 404),
        ("fails", "/ui/".into(), 503),
        ("", style.clone(), 200),
        ("", "/ui/icon.svg".into(), 200),
    ] {
        let answer = ask(&ui, caller, &path).await;
        assert_eq!(answer.status, status, "{path}");
        let is_file = path == style || path.ends_with(".svg");
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                 base-uri 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "cache-control",
                if path == style {
                    "public, max-age=31536000, immutable"
                } else if is_file {
                    "public, max-age=86400"
                } else {
                    "no-store"
                },
            ),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn a_page_needs_nothing_that_the_policy_forbids() {
    let ui = viewer(spy(&events(3)).await);
    for path in ["/ui/", "/ui/overview?since=2026-05-25", "/ui/events/00000000000000000000000000000001", "/ui/?x=1"] {
        for element in elements(&ask(&ui, ROOT, path).await) {
            let tag = element.tag.as_str();
            assert!(
                !["script", "style", "iframe", "object", "embed", "base", "img", "noscript"].contains(&tag),
                "{tag}"
            );
            for (name, value) in &element.attributes {
                assert!(!name.starts_with("on") && name != "style" && name != "srcdoc", "{element:?}");
                let is_link = ["href", "action", "src"].contains(&name.as_str());
                assert!(
                    !is_link
                        || value.starts_with("./")
                        || value.starts_with("../")
                        || value.starts_with('#')
                        || value.is_empty()
                        || value.starts_with("00"),
                    "{element:?}"
                );
            }
        }
    }
}
