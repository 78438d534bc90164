//! Removal of events from a log of JSON lines: seen by every reader, whole, and of old events alone.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tower_audit::query::Cursor;
use tower_audit::store::{AuditStore as _, RetentionFloor};
use tower_audit::{AuditEvent, EventType, Phase, Timestamp};

use super::jsonl_fixture::{Place, count, events, listing};

fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes an archive of logrotate.
fn archive(log: &Path, suffix: &str, events: &[AuditEvent]) {
    let lines: String = events.iter().map(|event| serde_json::to_string(event).expect("JSON") + "\n").collect();
    fs::write(beside(log, suffix), lines).expect("it is written");
}

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().expect("a time");
    Timestamp::from_micros(start.as_micros() + seconds * 1_000_000).expect("in range")
}

fn event_at(seconds: i64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
    event.created_at = at(seconds);
    event
}

#[tokio::test]
async fn removed_events_are_not_shown_after_the_file_was_rotated() {
    let place = Place::new();
    let (reader, other) = (place.open("?rotate_bytes=64K").await, place.open("?rotate_bytes=64K").await);
    let mut removed = Vec::new();
    let mut last = events(20);
    other.append(&last).await.unwrap();
    // The last removal is that before the append that rotates.
    while place.rotated().is_empty() {
        assert_eq!(listing(&*reader).await.len() as u64, count(&*reader).await);
        let doomed = Cursor::of(&last[0]);
        assert_eq!(other.parts().removal.unwrap().remove(&[doomed]).await.unwrap(), 1);
        removed.push(doomed.event_id);
        last = events(20);
        other.append(&last).await.unwrap();
    }
    let listed = listing(&*reader).await;
    assert!(!listed.iter().any(|event| removed.contains(&event.event_id)), "{} are shown", listed.len());
    assert_eq!(count(&*reader).await, listed.len() as u64);
}

/// A process was killed after it had compressed a file, and before it removed the plain one.
#[tokio::test]
async fn the_compressed_copy_of_a_file_goes_with_its_events() {
    for way in ["removed", "old", "init"] {
        let place = Place::new();
        let store = place.open("?rotate_bytes=64K").await;
        let all = events(400);
        for batch in all.chunks(100) {
            store.append(batch).await.unwrap();
        }
        let plain = place.rotated()[0].clone();
        assert!(Command::new("gzip").arg("-k").arg(&plain).status().unwrap().success());
        let store = place.open("?rotate_bytes=64K").await;
        assert_eq!(count(&*store).await, 400);
        let admin = store.parts().admin.unwrap();
        match way {
            "removed" => {
                let removal = store.parts().removal.unwrap();
                let doomed: Vec<Cursor> = all.iter().map(Cursor::of).collect();
                assert_eq!(removal.remove(&doomed).await.unwrap(), 400);
                removal.finish(None).await.unwrap();
            }
            "old" => {
                let after = AuditEvent::new(EventType::UPLOAD).created_at;
                let mut deleted = 0;
                loop {
                    let step = admin.purge(after, 1000).await.unwrap();
                    deleted += step.deleted;
                    if !step.has_more {
                        break;
                    }
                }
                assert_eq!(deleted, 400, "no event is removed twice");
            }
            _ => admin.recreate().await.unwrap(),
        }
        assert_eq!(count(&*store).await, 0, "{way}");
        assert!(!beside(&plain, ".gz").exists(), "{way}");
    }
}

#[tokio::test]
async fn init_leaves_no_copy_of_an_event() {
    let place = Place::new();
    let store = place.open("").await;
    store.append(&events(3)).await.unwrap();
    let mut large = events(40);
    for event in &mut large {
        event.details.insert("text".into(), "x".repeat(120_000).into());
    }
    // Too large to be indexed while an append waits.
    archive(&place.log(), ".1", &large);
    let state = beside(&place.log(), ".state");
    fs::write(state.join("rewrite-0123456789abcdef.tmp"), "{}").unwrap();
    store.parts().admin.unwrap().recreate().await.unwrap();
    assert_eq!(count(&*store).await, 0);
    assert_eq!(place.rotated(), Vec::<PathBuf>::new());
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("rewrite-")), "{left:?}");
}

#[tokio::test]
async fn a_request_whose_end_is_removed_first_is_not_open_meanwhile() {
    let place = Place::new();
    let mut started = event_at(1);
    started.phase = Phase::Started;
    let mut end = event_at(2);
    end.request.started_event_id = Some(started.event_id);
    archive(&place.log(), ".1", &[end]);
    archive(&place.log(), ".2", &[started.clone(), event_at(100)]);
    let store = place.open("").await;
    assert_eq!(count(&*store).await, 3);
    let mut steps = 0;
    loop {
        let step = store.parts().admin.unwrap().purge(at(50), 1).await.unwrap();
        let open = store.parts().removal.unwrap().still_open(&[started.event_id]).await.unwrap();
        assert!(open.is_empty(), "step {steps}: it has ended");
        steps += 1;
        if !step.has_more {
            break;
        }
    }
    assert_eq!(count(&*store).await, 1);
    assert_eq!(place.rotated().len(), 1, "the place of the end is needed no longer");
}

#[tokio::test]
async fn a_line_without_a_time_is_as_new_as_the_events_behind_it() {
    let place = Place::new();
    let mut log = File::create(place.log()).unwrap();
    log.write_all(b"no event\n").unwrap();
    fs::write(beside(&place.log(), ".1"), "no event at all\n").unwrap();
    fs::write(beside(&place.log(), ".2"), "no event either\n").unwrap();
    archive(&place.log(), ".3", &[]);
    let store = place.open("").await;
    store.append(&events(2)).await.unwrap();
    assert_eq!(count(&*store).await, 5);
    let yesterday = Timestamp::from_micros(Timestamp::now().as_micros() - 86_400_000_000).unwrap();
    let outcome = store.parts().admin.unwrap().purge(yesterday, 1000).await.unwrap();
    assert_eq!((outcome.deleted, outcome.has_more), (0, false));
    assert_eq!(count(&*store).await, 5);
    for store in [&store, &place.open("").await] {
        for event in listing(&**store).await {
            assert!(event.created_at > yesterday, "{event:?}");
            let found = store.parts().reader.unwrap().get(event.event_id).await.unwrap();
            assert_eq!(found, Some(event), "what is listed is found by its id");
        }
    }
}

#[tokio::test]
async fn a_damaged_archive_does_not_keep_a_purge_from_the_others() {
    let place = Place::new();
    let damaged: Vec<AuditEvent> = (0..600).map(event_at).collect();
    archive(&place.log(), ".1", &damaged);
    let first = beside(&place.log(), ".1");
    assert!(Command::new("gzip").arg(&first).status().unwrap().success());
    let first = beside(&place.log(), ".1.gz");
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..whole.len() / 2]).unwrap();
    archive(&place.log(), ".2", &(0..20).map(event_at).collect::<Vec<_>>());
    let store = place.open("").await;
    let before = count(&*store).await;
    let mut deleted = 0;
    let mut steps = 0;
    loop {
        let step = store.parts().admin.unwrap().purge(at(19), 5).await.unwrap();
        deleted += step.deleted;
        steps += 1;
        assert!(steps < 50, "the purge comes to an end");
        if !step.has_more {
            break;
        }
    }
    assert_eq!((deleted, count(&*store).await), (19, before - 19));
}

#[tokio::test]
async fn keep_deletes_no_event_younger_than_the_retention_floor() {
    let place = Place::new();
    let store = RetentionFloor::new(place.open("?rotate_bytes=64K&keep=1").await, Duration::from_secs(3600));
    for batch in events(1000).chunks(100) {
        store.append(batch).await.unwrap();
    }
    assert!(place.rotated().len() > 2, "{:?}", place.rotated());
    assert_eq!(count(&store).await, 1000);
    let old: Vec<AuditEvent> = (0..1000).map(event_at).collect();
    for batch in old.chunks(100) {
        store.append(batch).await.unwrap();
    }
    // Only files of old events go. The events that say so are young.
    let listed = listing(&store).await;
    let count_of = |wanted: EventType| listed.iter().filter(|event| event.event_type == wanted).count();
    assert_eq!(count_of(EventType::UPLOAD), 1000);
    assert!(count_of(EventType::ADMIN_ACTION) < 1000, "{:?}", place.rotated());
    assert!(count_of(EventType::AUDIT_PURGE) > 0);
}
