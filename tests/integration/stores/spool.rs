//! `spool:DIR`, in front of each kind of store: the suite passes as if the target were written itself.

use std::path::Path;
use std::sync::Arc;

use tower_audit::store::conformance::{FreshStore, Harness, Need};
use tower_audit::store::spool::SpoolStore;
use tower_audit::store::{self, AuditStore, Durability, MemoryStore, OpenOptions};

async fn open(directory: &Path, target: &str) -> Arc<dyn AuditStore> {
    let url = format!("spool:{}?to={target}", directory.join("spool").display());
    let options = OpenOptions::default().timeout(std::time::Duration::from_secs(60));
    store::open(&url, options).await.expect("the spool in a new directory is opened")
}

fn spool(target: impl Fn(&Path) -> String + Send + Sync + 'static) -> Harness {
    let target = Arc::new(target);
    Harness::new(move || {
        let target = Arc::clone(&target);
        async move {
            let directory = Arc::new(tempfile::tempdir().expect("there is room for a temporary directory"));
            let place = directory.path().to_owned();
            let url = target(&place);
            FreshStore::new(open(&place, &url).await)
                .reopened_by(move || {
                    let (place, url) = (place.clone(), url.clone());
                    async move { open(&place, &url).await }
                })
                .owning(directory)
        }
    })
    .except(OPEN_COPIES)
}

fn memory() -> Harness {
    Harness::new(|| async {
        let directory = Arc::new(tempfile::tempdir().expect("there is room for a temporary directory"));
        let place = directory.path().to_owned();
        let events = MemoryStore::new();
        let open = move || {
            let builder = SpoolStore::builder(&place, Arc::new(events.clone())).durability(Durability::Warn);
            async move { Arc::new(builder.open().await.expect("the spool is opened")) as Arc<dyn AuditStore> }
        };
        FreshStore::new(open().await).reopened_by(open).owning(directory)
    })
    .except(OPEN_COPIES)
}

/// Open `started` events in the spool keep their values until they are ended: `docs/stores/spool.md`.
const OPEN_COPIES: &str = "the_copy_of_an_open_event_is_replaced";

/// No threshold of the spool's lies above, and those of a target are crossed in its own suite.
const EVENTS: usize = 3_000;

tower_audit::conformance_tests!(in_front_of_memory, || async { memory().with_event_count(EVENTS) });
#[cfg(feature = "sqlite")]
tower_audit::conformance_tests!(in_front_of_sqlite, || async {
    spool(|place| format!("sqlite:{}", place.join("audit.db").display())).with_event_count(EVENTS)
});
#[cfg(feature = "jsonl")]
tower_audit::conformance_tests!(in_front_of_jsonl, || async {
    spool(|place| format!("jsonl:{}", place.join("audit.jsonl").display()))
        .without(&[Need::Erasure])
        .with_event_count(EVENTS)
});
#[cfg(feature = "postgres")]
tower_audit::conformance_tests!(in_front_of_postgres, || async {
    use crate::postgres_server::{Cluster, unique};
    spool(|_| format!("{}?schema={}", Cluster::shared().url("postgres"), unique("log"))).with_event_count(EVENTS)
});

/// Under load there is no idle moment: the target would never be maintained.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_spool_asks_for_maintenance_as_often_as_its_target_does() {
    let folder = tempfile::tempdir().expect("there is room for a temporary directory");
    let url = format!("sqlite:{}", folder.path().join("audit.db").display());
    let spool = open(folder.path(), &url).await;
    let target = store::open(&url, OpenOptions::default()).await.expect("it opens");
    assert!(target.capabilities().maintenance_after.is_some());
    assert_eq!(spool.capabilities().maintenance_after, target.capabilities().maintenance_after);
    spool.close().await.expect("it closes");
}
