//! A file that can only be appended to (`chattr +a`): it is neither cut nor renamed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tower_audit::query::Filter;
use tower_audit::store::{OpenOptions, open};
use tower_audit::{AuditEvent, EventType};

use crate::support::{Folder, beside_others, try_run};

/// Takes the mark away again: the folder of the test could not be removed.
struct AppendOnly(PathBuf);

impl AppendOnly {
    /// `None` where the file system, or the user, does not allow it.
    fn of(path: &Path) -> Option<Self> {
        let name = path.to_str().expect("a path of text");
        match try_run("chattr", &["+a", name]) {
            Ok(_) => Some(Self(path.to_owned())),
            Err(why) => {
                println!("SKIPPED: no file of this folder can be made append-only here: {why}");
                None
            }
        }
    }
}

impl Drop for AppendOnly {
    fn drop(&mut self) {
        let _ = try_run("chattr", &["-a", self.0.to_str().expect("a path of text")]);
    }
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "each test has a runtime of its own")]
async fn an_event_without_its_line_feed_is_not_written_twice() {
    let _turn = beside_others();
    let folder = Folder::new();
    let log = folder.path().join("audit.jsonl");
    let url = format!("jsonl:{}", log.display());
    let store = open(&url, OpenOptions::default()).await.expect("it opens");
    let events: Vec<AuditEvent> = (0..2).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
    store.append(&events[..1]).await.expect("it is kept");
    // What a process leaves that is killed before the last byte of a write.
    let torn = serde_json::to_string(&events[1]).expect("JSON");
    File::options().append(true).open(&log).expect("the log").write_all(torn.as_bytes()).expect("it is written");
    let Some(mark) = AppendOnly::of(&log) else { return };
    store.append(&events[1..]).await.expect("it is kept");
    let reader = store.parts().reader.expect("it can be read");
    assert_eq!(reader.count(&Filter::default()).await.expect("it is counted"), 2);
    drop(mark);
    let text = fs::read_to_string(&log).expect("it is text");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "each test has a runtime of its own")]
async fn it_outgrows_its_rotation() {
    let _turn = beside_others();
    let folder = Folder::new();
    let log = folder.path().join("audit.jsonl");
    let url = format!("jsonl:{}?rotate_bytes=64K", log.display());
    let store = open(&url, OpenOptions::default()).await.expect("it opens");
    let events: Vec<AuditEvent> = (0..1000).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
    store.append(&events[..1]).await.expect("it is kept");
    let Some(mark) = AppendOnly::of(&log) else { return };
    for batch in events.chunks(100) {
        store.append(batch).await.expect("it is kept");
    }
    let said = store.diagnose().await.expect("it is diagnosed");
    assert!(said.iter().any(|diagnostic| diagnostic.subject == "rotation"), "{said:?}");
    assert!(fs::metadata(&log).expect("the log").len() > 128 << 10);
    drop(mark);
    let more: Vec<AuditEvent> = (0..200).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
    for batch in more.chunks(50) {
        store.append(batch).await.expect("it is kept");
    }
    assert!(fs::metadata(&log).expect("the log").len() < 128 << 10, "it is rotated when it can be");
    let reader = store.parts().reader.expect("it can be read");
    assert_eq!(reader.count(&Filter::default()).await.expect("it is counted"), 1200);
}
