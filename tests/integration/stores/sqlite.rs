//! `sqlite:PATH`.

use std::path::Path;
use std::sync::Arc;

use tower_audit::store::conformance::{FreshStore, Harness};
use tower_audit::store::{self, AuditStore, OpenOptions, Severity};

async fn open(directory: &Path) -> Arc<dyn AuditStore> {
    let url = format!("sqlite:{}", directory.join("audit.db").display());
    store::open(&url, OpenOptions::default()).await.expect("the file in a new directory is opened")
}

fn sqlite() -> Harness {
    Harness::new(|| async {
        let directory = Arc::new(tempfile::tempdir().expect("there is room for a temporary directory"));
        let place = directory.path().to_owned();
        FreshStore::new(open(&place).await)
            .reopened_by(move || {
                let place = place.clone();
                async move { open(&place).await }
            })
            .owning(directory)
    })
}

tower_audit::conformance_tests!(file, || async { sqlite() });

/// A reader's open transaction keeps SQLite from emptying its log: the file grows, and `doctor` names it.
#[tokio::test]
async fn a_large_write_ahead_log_is_a_warning() {
    let directory = tempfile::tempdir().expect("there is room for a temporary directory");
    let store = open(directory.path()).await;
    let severity = async || {
        let diagnostics = store.diagnose().await.expect("it answers");
        let of_log = diagnostics.iter().find(|diagnostic| diagnostic.subject == "wal").expect("it is looked at");
        (of_log.severity, of_log.message.clone())
    };
    let log = std::fs::File::options().write(true).open(directory.path().join("audit.db-wal")).expect("it is there");
    let bytes = log.metadata().expect("it is there").len();
    assert_eq!(severity().await.0, Severity::Ok);
    // Without a byte on the disk.
    log.set_len(300_000_000).expect("the file system has sparse files");
    assert_eq!(severity().await, (Severity::Warning, "the file beside it (-wal) has 300 MB".to_owned()));
    log.set_len(bytes).expect("the file system has sparse files");
    store.close().await.expect("it closes");
}
