//! The suite of all stores, as far as a store without a reader goes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tower_audit::store::conformance::{Check, FreshStore, Harness, Need, run};
use tower_audit::store::{OpenOptions, open};

use crate::nats_cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_passes_the_suite() {
    static STREAMS: AtomicU32 = AtomicU32::new(0);
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let harness = Harness::new(move || async move {
        let number = STREAMS.fetch_add(1, Ordering::Relaxed);
        let url = cluster.url(&format!("&stream=S{number}&subject=s{number}"));
        let options = OpenOptions::new().timeout(Duration::from_secs(20));
        FreshStore::new(open(&url, options).await.expect("the cluster is there"))
    });
    let all = [Need::Reader, Need::Admin, Need::Removal, Need::Recovery, Need::Sealing, Need::SecondHandle];
    let harness = harness.without(&all);
    for check in Check::ALL {
        run(check, &harness).await;
    }
}
