//! `duckdb:PATH`, with the library from npm: a file for each store.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::store::conformance::{FreshStore, Harness, Need};
use tower_audit::store::{self, AuditStore, OpenOptions};

use crate::duckdb_library::url;

async fn open(url: &str) -> Arc<dyn AuditStore> {
    // Nothing here is about deadlines: the machine may be busy.
    let options = OpenOptions::default().timeout(Duration::from_secs(60));
    match store::open(url, options).await {
        Ok(store) => store,
        Err(error) => panic!("the store is not opened: {error}: {:?}", std::error::Error::source(&error)),
    }
}

fn duckdb() -> Harness {
    let harness = Harness::new(|| async {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let url = url(&folder.path().join("audit.duckdb"));
        let fresh = FreshStore::new(open(&url).await).reopened_by(move || {
            let url = url.clone();
            async move { open(&url).await }
        });
        fresh.owning(folder)
    });
    harness.without(&[Need::Sealing, Need::Erasure]).with_timeout(Duration::from_secs(300))
}

tower_audit::conformance_tests!(file, || async { duckdb() });
