//! `sqlite:PATH`.

use std::path::Path;
use std::sync::Arc;

use tower_audit::store::conformance::{FreshStore, Harness};
use tower_audit::store::{self, AuditStore, OpenOptions};

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
