//! Responses to requests whose event could not be written: a failure says whether the request was carried out.

use std::collections::BTreeMap;

use crate::support::{Kind, SOON, Server, Shot, fire, until};

/// Every answer is either a success or a proper refusal, and says the truth about the effect.
#[track_caller]
pub(super) fn assert_answers<'a>(shots: impl IntoIterator<Item = &'a Shot>, effects: &BTreeMap<String, usize>) {
    for shot in shots {
        let answer = shot.answer();
        let has_effect = effects.contains_key(&shot.id);
        match (answer.status, shot.kind) {
            (200, _) => assert!(has_effect, "{} says that it is done", shot.id),
            (503, Kind::Admin) => {
                assert!(!has_effect, "{} says that it is not done", shot.id);
                assert_refusal(shot);
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
            }
            (500, _) => {
                assert!(has_effect, "{}: nobody could have recorded what did not happen", shot.id);
                assert_refusal(shot);
                assert_eq!(answer.header("retry-after"), None, "{answer:?}");
            }
            other => panic!("{other:?} is no answer to {}: {answer:?}", shot.id),
        }
    }
}

/// A problem document that gives the id and nothing else away.
#[track_caller]
fn assert_refusal(shot: &Shot) {
    let answer = shot.answer();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let id = answer.header("audit-event-id").expect("the id to quote");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}");
    for name in answer.header_names() {
        assert!(HEADERS.contains(&name), "a header of the handler: {name}");
    }
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("a problem document");
    assert_eq!(body["status"], answer.status);
    assert_eq!(body["audit_event_id"], id);
    let text = answer.body.to_lowercase();
    for word in
        ["sqlite", "disk", "database", ".db", "/", "lock", "space", "sync", "deadline", "\"deleted\"", "done\\n"]
    {
        let words = text.replace("about:blank", "");
        assert!(!words.contains(word), "{word:?} is given away: {text}");
    }
}

const HEADERS: [&str; 6] = ["content-type", "content-length", "cache-control", "date", "retry-after", "audit-event-id"];

/// Waits until both kinds of requests go well again, and returns those that were tried.
#[track_caller]
pub(crate) fn until_recovered(server: &Server, name: &str) -> Vec<Shot> {
    let mut client = server.client();
    let mut shots = Vec::new();
    for kind in [Kind::Admin, Kind::Upload] {
        until("requests go well again", SOON, || {
            shots.push(fire(&mut client, kind, format!("{name}-recovers-{}", shots.len())));
            shots.last().is_some_and(Shot::is_success).then_some(())
        });
    }
    server.until_health(200);
    shots
}

/// Counts the successes, the refusals before the handler and those after it.
pub(super) fn outcomes(shots: &[Shot]) -> String {
    let count = |status| shots.iter().filter(|shot| shot.status == Some(status)).count();
    format!("{} requests, {} x 200, {} x 503, {} x 500", shots.len(), count(200), count(503), count(500))
}
