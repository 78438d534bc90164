//! A sealer that goes on between two reads of a verification.

use std::sync::Arc;

use tokio::sync::Mutex;
use tower_audit::AuditEvent;
use tower_audit::EventId;
use tower_audit::sealing::{Sealer, Verifier};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, ForeignRow, Parts, SealBatch, Sealing, StoreFuture, StoredCheckpoint,
    StoredLeaf, StoredNode, StoredRemoval, UnsealedEvents,
};

use super::support::{SealedLog, event, seal};

/// A store whose sealer seals once the last leaf was read.
#[derive(Debug)]
struct SealsMeanwhile {
    inner: Arc<dyn AuditStore>,
    sealer: Mutex<Option<Sealer>>,
}

impl SealsMeanwhile {
    fn sealing(&self) -> &dyn Sealing {
        self.inner.parts().sealing.expect("it keeps a seal")
    }
}

impl AuditStore for SealsMeanwhile {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn parts(&self) -> Parts<'_> {
        Parts { sealing: Some(self), ..self.inner.parts() }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        self.inner.append(events)
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.inner.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.inner.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.inner.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.inner.close()
    }
}

impl Sealing for SealsMeanwhile {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        self.sealing().newest_checkpoint()
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        self.sealing().checkpoints(after, at_most)
    }

    fn unsealed<'a>(&'a self, position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        self.sealing().unsealed(position, at_most)
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        self.sealing().seal(batch)
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        Box::pin(async move {
            let leaves = self.sealing().leaves(first, at_most).await?;
            if leaves.is_empty()
                && let Some(mut sealer) = self.sealer.lock().await.take()
            {
                assert_eq!(seal(&mut sealer).await.size, first + 2);
            }
            Ok(leaves)
        })
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        self.sealing().leaf_of(id)
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        self.sealing().leaf_indexes(ids)
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        self.sealing().nodes(level, first, at_most)
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        self.sealing().events(ids)
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        self.sealing().removals(first, at_most)
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        self.sealing().add_removal(number, note)
    }

    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        self.sealing().foreign_rows(at_most)
    }
}

/// The leaves are read, then a batch is committed, then the checkpoints are read: no end is gone.
#[tokio::test]
async fn a_batch_between_leaves_and_checkpoints_is_no_damage() {
    let log = SealedLog::of(300).await;
    let inner = log.open().await;
    inner.append(&[event(300), event(301)]).await.unwrap();
    let sealer = Mutex::new(Some(log.sealer(&inner)));
    let store = SealsMeanwhile { inner, sealer };
    let report = Verifier::new(&store, vec![log.key.clone()]).verify(|_| {}).await.unwrap();
    assert!(store.sealer.lock().await.is_none(), "it has sealed");
    assert!(report.is_intact() && report.size == 302, "{report:?}");
    store.close().await.unwrap();
}
