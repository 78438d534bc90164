//! The sealing part of the store.

use super::{batch, events, foreign_rows, removals, rows, unsealed};
use crate::event::{AuditEvent, EventId};
use crate::store::sqlite::store::SqliteStore;
use crate::store::{
    ForeignRow, SealBatch, Sealing, StoreError, StoreFuture, StoredCheckpoint, StoredLeaf, StoredNode, StoredRemoval,
    UnsealedEvents,
};

impl Sealing for SqliteStore {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = rows::newest_checkpoint(lease.db()).await;
            self.readers.finish(lease, result).await
        })
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = rows::checkpoints(lease.db(), after, at_most).await;
            self.readers.finish(lease, result).await
        })
    }

    fn unsealed<'a>(&'a self, position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = unsealed::unsealed(lease.db(), position, at_most.max(1)).await;
            self.readers.finish(lease, result).await
        })
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut lease = self.lease("sealing").await?;
            let result: Result<bool, StoreError> = batch::store(&mut lease.state, batch).await;
            lease.finish(result).await
        })
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = rows::leaves(lease.db(), first, at_most).await;
            self.readers.finish(lease, result).await
        })
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = rows::leaf_of(lease.db(), id).await;
            self.readers.finish(lease, result).await
        })
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = rows::nodes(lease.db(), level, first, at_most).await;
            self.readers.finish(lease, result).await
        })
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = events::events(lease.db(), ids).await;
            self.readers.finish(lease, result).await
        })
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = rows::leaf_indexes(lease.db(), ids).await;
            self.readers.finish(lease, result).await
        })
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = removals::read(lease.db(), first, at_most).await;
            self.readers.finish(lease, result).await
        })
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut lease = self.lease("purge").await?;
            let result: Result<bool, StoreError> = removals::add(&mut lease.state, number, note).await;
            lease.finish(result).await
        })
    }

    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let result = foreign_rows::foreign_rows(lease.db(), at_most).await;
            self.readers.finish(lease, result).await
        })
    }
}
