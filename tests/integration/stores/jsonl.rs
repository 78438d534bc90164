//! `jsonl:PATH`, in both shapes, small files and compression included.

use std::path::Path;
use std::sync::Arc;

use tower_audit::store::conformance::{FreshStore, Harness, Need};
use tower_audit::store::{self, AuditStore, OpenOptions};

async fn open(directory: &Path, parameters: &str) -> Arc<dyn AuditStore> {
    let url = format!("jsonl:{}{parameters}", directory.join("audit.jsonl").display());
    store::open(&url, OpenOptions::default()).await.expect("the file in a new directory is opened")
}

fn jsonl(parameters: &'static str) -> Harness {
    Harness::new(move || async move {
        let directory = Arc::new(tempfile::tempdir().expect("there is room for a temporary directory"));
        let place = directory.path().to_owned();
        FreshStore::new(open(&place, parameters).await)
            .reopened_by(move || {
                let place = place.clone();
                async move { open(&place, parameters).await }
            })
            .owning(directory)
    })
}

tower_audit::conformance_tests!(native, || async { jsonl("").without(&[Need::Erasure]) });
// Files are rotated and compressed under the checks' feet.
tower_audit::conformance_tests!(small_files, || async {
    jsonl("?rotate_bytes=64K&gzip=true&profile=iq").without(&[Need::Erasure])
});
