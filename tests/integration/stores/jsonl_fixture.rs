//! A log of JSON lines in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{self, AuditStore, OpenOptions, StoreError};
use tower_audit::{AuditEvent, EventType};

/// A folder and a log in it.
pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    pub(super) async fn open(&self, parameters: &str) -> Arc<dyn AuditStore> {
        open(&self.log(), parameters).await.expect("it opens")
    }

    /// The rotated files, oldest first.
    pub(super) fn rotated(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(self.folder.path()).expect("the folder").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = entries.filter(|path| path.is_file() && *path != self.log()).collect();
        files.sort();
        files
    }

    pub(super) fn torn(&self) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(self.folder.path().join("audit.jsonl.state")).expect("the state");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let torn =
            paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("torn-")));
        torn.map(|path| fs::read(path).expect("it can be read")).collect()
    }
}

pub(super) async fn open(log: &Path, parameters: &str) -> Result<Arc<dyn AuditStore>, StoreError> {
    store::open(&format!("jsonl:{}{parameters}", log.display()), OpenOptions::default()).await
}

pub(super) fn events(count: usize) -> Vec<AuditEvent> {
    (0..count).map(|_| AuditEvent::new(EventType::UPLOAD)).collect()
}

pub(super) async fn listing(store: &dyn AuditStore) -> Vec<AuditEvent> {
    let reader = store.parts().reader.expect("it can be read");
    reader.query(&PageQuery::new(Filter::default(), 100_000)).await.expect("it can be read")
}

pub(super) async fn count(store: &dyn AuditStore) -> u64 {
    store.parts().reader.expect("it can be read").count(&Filter::default()).await.expect("it can be counted")
}
