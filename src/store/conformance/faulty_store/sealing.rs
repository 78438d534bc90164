//! A seal that goes wrong.

use super::super::fault::Fault;
use super::FaultyStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{
    ForeignRow, SealBatch, Sealing, StoreError, StoreErrorKind, StoreFuture, StoredCheckpoint, StoredLeaf, StoredNode,
    StoredRemoval, StoredSeed, UnsealedEvents,
};

#[deny(clippy::missing_trait_methods)]
impl Sealing for FaultyStore {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        Box::pin(async { self.inner_sealing()?.newest_checkpoint().await })
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        Box::pin(async move { self.inner_sealing()?.checkpoints(after, at_most).await })
    }

    fn unsealed<'a>(&'a self, position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        Box::pin(async move {
            let sealing = self.inner_sealing()?;
            let mut unsealed = sealing.unsealed(position, at_most).await?;
            match self.fault() {
                Some(Fault::SkipsLateEvents) => {
                    let leaves = sealing.leaves(0, usize::MAX).await?;
                    let newest = leaves.iter().map(|leaf| leaf.event_id).max();
                    unsealed.events.retain(|event| Some(event.event_id) > newest);
                }
                Some(Fault::ForgetsLeaves) if !unsealed.events.is_empty() => {
                    let ids: Vec<EventId> =
                        sealing.leaves(0, usize::MAX).await?.iter().map(|leaf| leaf.event_id).take(1).collect();
                    unsealed.events.extend(sealing.events(&ids).await?);
                }
                _ => {}
            }
            Ok(unsealed)
        })
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let stored = self.inner_sealing()?.seal(batch).await?;
            Ok(stored || self.fault() == Some(Fault::LosesRacesUnnoticed))
        })
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        Box::pin(async move {
            let mut leaves = self.inner_sealing()?.leaves(first, at_most).await?;
            if self.fault() == Some(Fault::RemoveKeepsSeeds) {
                for leaf in leaves.iter_mut().filter(|leaf| leaf.seed == StoredSeed::Gone) {
                    leaf.seed = StoredSeed::Whole([1; 32]);
                }
            }
            if self.fault() == Some(Fault::LosesSeeds) {
                leaves.iter_mut().for_each(|leaf| leaf.seed = StoredSeed::Whole([0; 32]));
            }
            Ok(leaves)
        })
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        Box::pin(async move {
            let leaf = self.inner_sealing()?.leaf_of(id).await?;
            match self.fault() {
                Some(Fault::PurgeTakesLeaves) => {
                    Ok(if self.inner_reader()?.get(id).await?.is_some() { leaf } else { None })
                }
                _ => Ok(leaf),
            }
        })
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        Box::pin(async move { self.inner_sealing()?.nodes(level, first, at_most).await })
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move { self.inner_sealing()?.events(ids).await })
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        Box::pin(async move { self.inner_sealing()?.leaf_indexes(ids).await })
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        Box::pin(async move {
            let mut removals = self.inner_sealing()?.removals(first, at_most).await?;
            if self.fault() == Some(Fault::LosesRemovals) {
                removals.truncate(1);
            }
            Ok(removals)
        })
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move { self.inner_sealing()?.add_removal(number, note).await })
    }

    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        Box::pin(async move { self.inner_sealing()?.foreign_rows(at_most).await })
    }
}

impl FaultyStore {
    fn inner_sealing(&self) -> Result<&dyn Sealing, StoreError> {
        self.inner.parts().sealing.ok_or_else(|| self.error(StoreErrorKind::Unsupported, "sealing"))
    }
}
