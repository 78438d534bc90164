//! `mysql://…`, on the private MariaDB of this test binary: a table for each store.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::store::conformance::{FreshStore, Harness};
use tower_audit::store::{self, AuditStore, OpenOptions};

use crate::mariadb_server::{Server, unique};

async fn open(url: &str) -> Arc<dyn AuditStore> {
    // Nothing here is about deadlines: the machine may be busy.
    let mut options = OpenOptions::default();
    options.timeout = Duration::from_secs(60);
    match store::open(url, options).await {
        Ok(store) => store,
        Err(error) => panic!("the store is not opened: {error}: {:?}", std::error::Error::source(&error)),
    }
}

fn mysql() -> Harness {
    Harness::new(|| async {
        let url = format!("{}?table={}", Server::shared().url_as("root", "audit"), unique("log"));
        FreshStore::new(open(&url).await).reopened_by(move || {
            let url = url.clone();
            async move { open(&url).await }
        })
    })
}

tower_audit::conformance_tests!(table, || async { mysql() });
