//! The sealing part of the store.

use super::{batch, removals, rows, unsealed};
use crate::event::{AuditEvent, EventId};
use crate::store::mysql::store::MysqlStore;
use crate::store::{
    ForeignRow, SealBatch, Sealing, StoreFuture, StoredCheckpoint, StoredLeaf, StoredNode, StoredRemoval,
    UnsealedEvents,
};

impl Sealing for MysqlStore {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::newest_checkpoint(&mut lease.db, &self.config.identifiers).await;
            lease.finish(result)
        })
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::checkpoints(&mut lease.db, &self.config.identifiers, after, at_most).await;
            lease.finish(result)
        })
    }

    fn unsealed<'a>(&'a self, position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        Box::pin(async move {
            let names = &self.config.identifiers;
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = unsealed::unsealed(&mut lease.db, names, &self.sweep, position, at_most.max(1)).await;
            lease.finish(result)
        })
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        Box::pin(self.writers.within(self.config.timeout, SEALING, async move {
            let mut lease = self.writers.lease(&self.config, SEALING).await?;
            let is_mariadb = self.config.facts.is_mariadb();
            let result = batch::store(&mut lease.db, &self.config.identifiers, is_mariadb, batch).await;
            lease.finish(result)
        }))
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::leaves(&mut lease.db, &self.config.identifiers, first, at_most).await;
            lease.finish(result)
        })
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::leaf_of(&mut lease.db, &self.config.identifiers, id).await;
            lease.finish(result)
        })
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::nodes(&mut lease.db, &self.config.identifiers, level, first, at_most).await;
            lease.finish(result)
        })
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::leaf_indexes(&mut lease.db, &self.config.identifiers, ids).await;
            lease.finish(result)
        })
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = removals::read(&mut lease.db, &self.config.identifiers, first, at_most).await;
            lease.finish(result)
        })
    }

    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::foreign_rows(&mut lease.db, &self.config.identifiers, at_most).await;
            lease.finish(result)
        })
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, PURGING).await?;
            let is_mariadb = self.config.facts.is_mariadb();
            let result = removals::add(&mut lease.db, &self.config.identifiers, is_mariadb, number, note).await;
            lease.finish(result)
        })
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            let mut lease = self.readers.lease(&self.config, READING).await?;
            let result = rows::events(&mut lease.db, &self.config.identifiers, ids).await;
            lease.finish(result)
        })
    }
}

const READING: &str = "reading the seal";
const SEALING: &str = "sealing";
const PURGING: &str = "purge";
