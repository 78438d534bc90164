//! A tee over PostgreSQL and SQLite, both of which must have every event.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tower_audit::store::conformance::{FreshStore, Harness};
use tower_audit::store::{self, AuditStore, OpenOptions};

use crate::postgres_server::{Cluster, unique};

/// Opens the tee of a file, as an app does.
async fn open(file: &Path) -> Arc<dyn AuditStore> {
    let options = OpenOptions::default().timeout(Duration::from_secs(60));
    let url = format!("tee:{}", file.display());
    match store::open(&url, options).await {
        Ok(store) => store,
        Err(error) => panic!("the tee is not opened: {error}: {:?}", std::error::Error::source(&error)),
    }
}

fn postgres_and_sqlite() -> Harness {
    Harness::new(|| async {
        let directory = tempfile::tempdir().expect("there is room for a temporary directory");
        let file: PathBuf = directory.path().join("tee.toml");
        let text = format!(
            "read = 'central'\n[[members]]\nname = 'local'\nurl = 'sqlite:{}'\n[[members]]\nname = 'central'\nurl = '{}?schema={}'\n",
            directory.path().join("audit.db").display(),
            Cluster::shared().url("postgres"),
            unique("tee"),
        );
        std::fs::write(&file, text).expect("the file is written");
        FreshStore::new(open(&file).await)
            .reopened_by(move || {
                let file = file.clone();
                async move { open(&file).await }
            })
            .owning(directory)
    })
    .with_event_count(3_000)
}

tower_audit::conformance_tests!(tee_of_a_file, || async { postgres_and_sqlite() });
