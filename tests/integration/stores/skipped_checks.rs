//! An append-only store: the suite skips the checks of missing parts.

use std::sync::Arc;

use tower_audit::AuditEvent;
use tower_audit::store::conformance::{Check, FreshStore, Harness, Need, run};
use tower_audit::store::{AuditStore, Capabilities, Diagnostic, MemoryStore, StoreFuture};

#[derive(Debug)]
struct Sink(MemoryStore);

impl AuditStore for Sink {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("sink")
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        self.0.append(events)
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.0.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.0.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.0.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.0.close()
    }
}

fn plain() -> Harness {
    Harness::new(|| async { FreshStore::new(Arc::new(Sink(MemoryStore::new()))) })
}

fn sink() -> Harness {
    plain().without(&[
        Need::Reader,
        Need::Admin,
        Need::Removal,
        Need::OrphanRecovery,
        Need::Sealing,
        Need::Erasure,
        Need::SecondHandle,
    ])
}

tower_audit::conformance_tests!(append_only, || async { sink() });

#[tokio::test]
async fn a_skip_that_nobody_admitted_fails() {
    for check in Check::ALL.iter().filter(|check| !check.needs().is_empty()) {
        let running = tokio::spawn(async move { run(check, &plain()).await });
        assert!(running.await.unwrap_err().is_panic(), "skipped in silence: {}", check.name());
    }
}
