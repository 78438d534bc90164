//! `mongodb://…`, on the private server of this test binary: a database for each store.

use std::sync::Arc;
use std::time::Duration;

use tower_audit::store::conformance::{FreshStore, Harness, Need};
use tower_audit::store::{self, AuditStore, OpenOptions};

use crate::mongodb_server::MongodbServer;

async fn open(url: &str) -> Arc<dyn AuditStore> {
    // Nothing here is about deadlines: the machine may be busy.
    let mut options = OpenOptions::default();
    options.timeout = Duration::from_secs(60);
    match store::open(url, options).await {
        Ok(store) => store,
        Err(error) => panic!("the store is not opened: {error}: {:?}", std::error::Error::source(&error)),
    }
}

fn mongodb() -> Harness {
    let harness = Harness::new(|| async {
        let url = MongodbServer::shared().new_url();
        FreshStore::new(open(&url).await).reopened_by(move || {
            let url = url.clone();
            async move { open(&url).await }
        })
    });
    // The server of the tests is written in Python.
    harness.without(&[Need::Sealing]).with_event_count(1_000).with_timeout(Duration::from_secs(300))
}

tower_audit::conformance_tests!(database, || async { mongodb() });
