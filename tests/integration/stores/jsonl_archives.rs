//! Archives of a log of JSON lines: of logrotate, of a neighbouring log, damaged, out of reach.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tower_audit::store::AuditStore;
use tower_audit::{AuditEvent, EventType};

use super::jsonl_fixture::{Place, count, events, listing, open};

fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn lines(events: &[AuditEvent]) -> String {
    events.iter().map(|event| serde_json::to_string(event).expect("JSON") + "\n").collect()
}

async fn told(store: &dyn AuditStore) -> usize {
    listing(store).await.iter().filter(|event| event.event_type == EventType::AUDIT_FAILED).count()
}

/// logrotate's `create`, between two appends.
fn rotate_by_hand(log: &Path) {
    fs::rename(log, beside(log, ".1")).expect("the file is there");
    drop(File::options().append(true).create_new(true).open(log).expect("a new file"));
}

#[tokio::test]
async fn a_neighbouring_log_is_none_of_this_one() {
    let place = Place::new();
    let first = place.open("").await;
    let second = open(&beside(&place.log(), "-2"), "?rotate_bytes=64K").await.expect("it opens");
    first.append(&events(3)).await.unwrap();
    for batch in events(400).chunks(100) {
        second.append(batch).await.unwrap();
    }
    assert_eq!((count(&*first).await, count(&*second).await), (3, 400));
    let after = AuditEvent::new(EventType::UPLOAD).created_at;
    while first.parts().admin.unwrap().purge(after, 1000).await.unwrap().has_more {}
    assert_eq!((count(&*first).await, count(&*second).await), (0, 400));
    first.parts().admin.unwrap().recreate().await.unwrap();
    assert_eq!(count(&*second).await, 400);
    let said = first.diagnose().await.unwrap();
    assert!(said.iter().any(|found| found.subject == "neighbour"), "{said:?}");
}

#[tokio::test]
async fn a_file_that_logrotate_compresses_at_once_is_not_put_back() {
    let place = Place::new();
    let store = place.open("").await;
    store.append(&events(20)).await.unwrap();
    rotate_by_hand(&place.log());
    assert!(Command::new("gzip").arg(beside(&place.log(), ".1")).status().unwrap().success());
    store.append(&events(1)).await.unwrap();
    assert_eq!((count(&*store).await, told(&*store).await), (21, 0));
    assert_eq!(place.rotated(), [beside(&place.log(), ".1.gz")]);
}

#[tokio::test]
async fn a_large_file_that_logrotate_renames_is_not_told_as_moved_away() {
    let place = Place::new();
    let (first, second) = (place.open("?rotate=never").await, place.open("?rotate=never").await);
    first.append(&events(1)).await.unwrap();
    // More than is indexed while an append waits.
    let mut large = events(40);
    for event in &mut large {
        event.details.insert("text".into(), "x".repeat(120_000).into());
    }
    second.append(&large).await.unwrap();
    rotate_by_hand(&place.log());
    first.append(&events(1)).await.unwrap();
    assert_eq!((count(&*first).await, told(&*first).await), (42, 0));
}

#[tokio::test]
async fn an_archive_that_cannot_be_opened_stops_nothing_else() {
    let place = Place::new();
    let store = place.open("").await;
    store.append(&events(3)).await.unwrap();
    symlink("audit.jsonl.1", beside(&place.log(), ".1")).unwrap();
    store.append(&events(3)).await.unwrap();
    for store in [&store, &place.open("").await] {
        assert_eq!(count(&**store).await, 6);
        let said = store.diagnose().await.unwrap();
        assert!(said.iter().any(|found| found.message.contains("audit.jsonl.1")), "{said:?}");
    }
}

/// It is read in pieces, whatever its size.
#[tokio::test]
async fn a_compressed_archive_is_read_in_bounded_memory() {
    let place = Place::new();
    let mut large = events(1600);
    for event in &mut large {
        event.details.insert("text".into(), "x".repeat(60_000).into());
    }
    let archive = beside(&place.log(), ".1");
    fs::write(&archive, lines(&large)).unwrap();
    assert!(Command::new("gzip").arg("-1").arg(&archive).status().unwrap().success());
    fs::write(place.log(), "").unwrap();
    let url = format!("jsonl:{}", place.log().display());
    // 96 MB of text in it. The program has some 20 MB of its own.
    let memory = format!("--data={}", 48 << 20);
    let run = |words: &[&str]| {
        let program = Command::new("prlimit")
            .args([&memory, "--", env!("CARGO_BIN_EXE_tower-audit")])
            .args(words)
            .args(["--url", &url])
            .output()
            .expect("`prlimit` of util-linux is installed");
        assert!(program.status.success(), "{words:?}: {}", String::from_utf8_lossy(&program.stderr));
        String::from_utf8(program.stdout).expect("text")
    };
    assert_eq!(run(&["count", "--event-type", "upload"]).trim(), "1600");
    let newest = run(&["query", "--limit", "2", "--format", "jsonl"]);
    assert!(newest.contains(&large[1599].event_id.to_string()) && newest.contains(&large[1598].event_id.to_string()));
    assert!(run(&["get", &large[7].event_id.to_string()]).contains(&large[7].event_id.to_string()));
}
