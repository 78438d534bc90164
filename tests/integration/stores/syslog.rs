//! `syslog:`, in front of a local socket that takes everything.

use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use tempfile::TempDir;
use tower_audit::store::conformance::{Check, FreshStore, Harness, Need, run};
use tower_audit::store::{OpenOptions, open};

/// A collector that reads and forgets, until it is dropped.
struct Collector {
    socket: Arc<UnixDatagram>,
    folder: TempDir,
}

impl Collector {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = Arc::new(UnixDatagram::bind(folder.path().join("log")).expect("a socket"));
        let reader = Arc::clone(&socket);
        std::thread::spawn(move || while reader.recv(&mut [0; 1]).is_ok_and(|bytes| bytes > 0) {});
        Self { socket, folder }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sink_passes_the_suite() {
    let harness = Harness::new(|| async {
        let collector = Collector::new();
        let url = format!("syslog:{}?format=rfc5424", collector.folder.path().join("log").display());
        let sink = open(&url, OpenOptions::new()).await.expect("the collector is there");
        FreshStore::new(sink).owning(collector)
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
