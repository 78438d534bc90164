//! Lines of a profile that a log can be kept in.

use serde_json::Value;
use tower_audit::export::{Profile, ProfileFormat, is_unsafe_to_display};

use super::corpus::{corpus, lines, source, written};

#[test]
fn each_event_is_one_line_that_is_safe_to_display() {
    let events = corpus();
    for profile in Profile::ALL {
        let text = lines(*profile, &events);
        assert_eq!(text.lines().count(), events.len(), "{profile}");
        assert!(!text.contains(|c: char| c != '\n' && is_unsafe_to_display(c)), "{profile}");
        assert!(text.lines().all(|line| profile.is_json() == serde_json::from_str::<Value>(line).is_ok()), "{profile}");
    }
}

#[test]
fn an_array_has_the_same_events_as_lines() {
    let events = corpus();
    for profile in Profile::ALL {
        let Some(array) = ProfileFormat::array(*profile, source()) else {
            assert!(!profile.is_json());
            continue;
        };
        let array: Vec<Value> = serde_json::from_str(&written(array, &events)).expect("an array");
        let lines = lines(*profile, &events);
        assert!(lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).eq(array), "{profile}");
        let empty = ProfileFormat::array(*profile, source()).expect("an array");
        assert_eq!(written(empty, &[]), "[]\n");
    }
}

/// A log of JSON lines keeps its events in a profile, and reads them back.
#[cfg(all(feature = "jsonl", unix))]
#[tokio::test]
async fn a_log_in_a_profile_reads_every_event_back() {
    use tower_audit::query::{Filter, PageQuery};
    use tower_audit::store::{self, OpenOptions};

    let mut events = corpus();
    events.iter_mut().for_each(tower_audit::AuditEvent::truncate_to_limits);
    events.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
    for profile in Profile::ALL.iter().filter(|profile| profile.has_whole_event()) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("jsonl:{}?profile={profile}&source=shop", folder.path().join("audit.jsonl").display());
        let store = store::open(&url, OpenOptions::default()).await.expect("the store opens");
        store.append(&events).await.expect("the events are kept");
        store.close().await.expect("it closes");
        let text = std::fs::read_to_string(folder.path().join("audit.jsonl")).expect("a file");
        assert_eq!(text.trim_end_matches('\0').lines().filter(|line| !line.trim().is_empty()).count(), events.len());
        let store = store::open(&url, OpenOptions::default()).await.expect("the store opens again");
        let reader = store.parts().reader.expect("it can be read");
        let read = reader.query(&PageQuery::new(Filter::default(), events.len() + 1)).await.expect("the events");
        assert_eq!(read.len(), events.len(), "{profile}");
        for (read, given) in read.iter().zip(&events) {
            assert_eq!(read, given, "{profile}");
        }
    }
}
