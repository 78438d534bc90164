//! `memory:`, alone and with recovery added for the tests.

use std::sync::Arc;

use tower_audit::store::conformance::{FreshStore, Harness, Need};
use tower_audit::store::{AuditStore, MemoryStore};

use crate::stores::recovery_store::OrphanMemory;

/// A store in memory with every part.
pub(crate) fn with_orphans() -> Harness {
    Harness::new(|| async {
        let store = OrphanMemory::new();
        let backing = store.backing();
        FreshStore::new(Arc::new(store)).reopened_by(move || {
            let handle: Arc<dyn AuditStore> = Arc::new(OrphanMemory::on(&backing));
            async move { handle }
        })
    })
}

fn plain() -> Harness {
    Harness::new(|| async {
        let store = MemoryStore::new();
        let other = store.clone();
        FreshStore::new(Arc::new(store)).reopened_by(move || {
            let handle: Arc<dyn AuditStore> = Arc::new(other.clone());
            async move { handle }
        })
    })
    .without(&[Need::OrphanRecovery])
    .with_event_count(70_000)
}

tower_audit::conformance_tests!(memory, || async { plain() });
tower_audit::conformance_tests!(memory_with_orphans, || async { with_orphans() });
tower_audit::conformance_tests!(wrapped_without_fault, || async { with_orphans().with_fault(None) });
