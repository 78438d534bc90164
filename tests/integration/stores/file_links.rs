//! Stores in a file whose PATH is a symbolic link.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{self, AuditStore, OpenOptions};
use tower_audit::{AuditEvent, EventId, EventType};

/// Makes the URL of a file.
type UrlFn = fn(&Path) -> String;

fn urls() -> Vec<UrlFn> {
    vec![
        #[cfg(feature = "sqlite")]
        |path| format!("sqlite:{}", path.display()),
        #[cfg(feature = "jsonl")]
        |path| format!("jsonl:{}", path.display()),
        #[cfg(feature = "duckdb")]
        |path| crate::duckdb_library::url(path),
    ]
}

/// A folder in which `app/audit` is a link to `data/audit`, which is not there yet.
fn linked() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for name in ["app", "data"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    symlink("../data/audit", link(folder.path())).expect("a link");
    folder
}

fn link(folder: &Path) -> PathBuf {
    folder.join("app/audit")
}

fn target(folder: &Path) -> PathBuf {
    folder.join("data/audit")
}

async fn open(url: &str) -> Arc<dyn AuditStore> {
    store::open(url, OpenOptions::default()).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// Appends an event and returns its id.
async fn append(store: &dyn AuditStore) -> EventId {
    let event = AuditEvent::new(EventType::UPLOAD);
    store.append(std::slice::from_ref(&event)).await.expect("it is kept");
    event.event_id
}

async fn listed(store: &dyn AuditStore) -> Vec<EventId> {
    let query = PageQuery::new(Filter::new(), 1000);
    let page = store.parts().reader.expect("it reads").query(&query).await.expect("a page");
    let mut ids: Vec<EventId> = page.iter().map(|event| event.event_id).collect();
    ids.sort();
    ids
}

/// The folder as a crash of the process would leave it. Not copied by this process: to close a file that it has locked unlocks it.
fn after_a_crash(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("there is room for a folder");
    let done = Command::new("cp").arg("-a").arg(folder.join(".")).arg(copy.path()).status().expect("there is `cp`");
    assert!(done.success(), "the files can be copied");
    copy
}

#[tokio::test]
async fn what_is_acknowledged_behind_a_link_is_there_after_a_crash() {
    for url in urls() {
        for exists in [false, true] {
            let folder = linked();
            if exists {
                open(&url(&target(folder.path()))).await.close().await.expect("it closes");
            }
            let store = open(&url(&link(folder.path()))).await;
            let mut ids = Vec::new();
            for _ in 0..3 {
                ids.push(append(&*store).await);
                let copy = after_a_crash(folder.path());
                let survivor = open(&url(&link(copy.path()))).await;
                let kind = survivor.capabilities().name;
                assert_eq!(listed(&*survivor).await, ids, "{kind}, target exists: {exists}");
            }
            let mode = fs::metadata(target(folder.path())).expect("it is there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", store.capabilities().name);
            // Nothing but the link is beside it.
            assert_eq!(fs::read_dir(folder.path().join("app")).expect("the folder").count(), 1);
            let same = open(&url(&target(folder.path()))).await;
            assert_eq!(listed(&*same).await, ids, "{}", store.capabilities().name);
        }
    }
}

#[cfg(feature = "jsonl")]
#[tokio::test]
async fn a_file_of_lines_behind_a_link_may_be_rotated_by_another_program() {
    let folder = linked();
    let store = open(&format!("jsonl:{}", link(folder.path()).display())).await;
    let mut ids = vec![append(&*store).await];
    fs::rename(target(folder.path()), folder.path().join("data/audit.1")).expect("as logrotate does");
    ids.push(append(&*store).await);
    assert_eq!(listed(&*store).await, ids);
    assert!(target(folder.path()).is_file() && link(folder.path()).is_symlink());
}

/// The write-ahead log grows with each commit: it is the file that the store looks at, so that no commit needs a checkpoint.
#[cfg(feature = "duckdb")]
#[tokio::test]
async fn a_database_of_duckdb_behind_a_link_logs_beside_the_file() {
    let folder = linked();
    let wal = folder.path().join("data/audit.wal");
    for _ in 0..2 {
        let store = open(&crate::duckdb_library::url(&link(folder.path()))).await;
        append(&*store).await;
        let before = fs::metadata(&wal).expect("a write-ahead log");
        assert_eq!(before.permissions().mode() & 0o777, 0o600);
        append(&*store).await;
        assert!(fs::metadata(&wal).expect("a write-ahead log").len() > before.len());
        store.close().await.expect("it closes");
    }
}
