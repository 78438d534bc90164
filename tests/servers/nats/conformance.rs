//! The suite of all stores, as far as a store without a reader goes.

use std::time::Duration;

use tower_audit::store::conformance::{Check, FreshStore, Harness, Need, run};
use tower_audit::store::{OpenOptions, open};

use crate::nats_cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_passes_the_suite() {
    let harness = Harness::new(|| async {
        let url = Cluster::shared().place().url("");
        let options = OpenOptions::new().timeout(Duration::from_secs(20));
        FreshStore::new(open(&url, options).await.expect("the cluster is there"))
    });
    let all = [
        Need::Reader,
        Need::Admin,
        Need::Removal,
        Need::OrphanRecovery,
        Need::Sealing,
        Need::Erasure,
        Need::SecondHandle,
    ];
    let harness = harness.without(&all);
    for check in Check::ALL {
        run(check, &harness).await;
    }
}
