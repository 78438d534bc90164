//! The parts of a spool that are those of its target.

use std::time::Duration;

use super::error::error_of;
use super::store::SpoolStore;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use crate::store::{
    CellErasure, ForeignRow, PurgeOutcome, Reader, Removal, ReplaceEventFn, SealBatch, Sealing, StoreAdmin, StoreError,
    StoreErrorKind, StoreFuture, StoredCheckpoint, StoredLeaf, StoredNode, StoredPage, StoredRemoval, UnsealedEvents,
};

impl SpoolStore {
    fn reader(&self) -> Result<&dyn Reader, StoreError> {
        self.shared.target.opened(READ)?.parts().reader.ok_or_else(|| error_of(StoreErrorKind::Unsupported, READ))
    }

    fn admin(&self, operation: &'static str) -> Result<&dyn StoreAdmin, StoreError> {
        let parts = self.shared.target.opened(operation)?.parts();
        parts.admin.ok_or_else(|| error_of(StoreErrorKind::Unsupported, operation))
    }

    fn removal(&self) -> Result<&dyn Removal, StoreError> {
        self.shared.target.opened(PURGE)?.parts().removal.ok_or_else(|| error_of(StoreErrorKind::Unsupported, PURGE))
    }

    fn erasure(&self) -> Result<&dyn CellErasure, StoreError> {
        self.shared
            .target
            .opened(ERASURE)?
            .parts()
            .erasure
            .ok_or_else(|| error_of(StoreErrorKind::Unsupported, ERASURE))
    }

    fn sealing(&self) -> Result<&dyn Sealing, StoreError> {
        self.shared
            .target
            .opened(SEALING)?
            .parts()
            .sealing
            .ok_or_else(|| error_of(StoreErrorKind::Unsupported, SEALING))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Reader for SpoolStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.query(query).await
        })
    }

    fn query_stored<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Option<StoredPage>> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.query_stored(query).await
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.count(filter).await
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.top_values(filter, by, at_most).await
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.histogram(filter, buckets).await
        })
    }

    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        self.reader().map(|reader| reader.unindexed(filter)).unwrap_or_default()
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.reader()?.check_access().await })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.get(id).await
        })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            self.before_read(READ).await?;
            self.reader()?.get_of(id, user_email).await
        })
    }
}

/// Each waits until everything is shipped, so that no event that is deleted arrives afterwards.
#[deny(clippy::missing_trait_methods)]
impl StoreAdmin for SpoolStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.caught_up("init").await?;
            self.admin("init")?.recreate().await
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.admin("ensure-indexes")?.migrate().await })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            self.caught_up(PURGE).await?;
            self.admin(PURGE)?.purge(before, at_most).await
        })
    }

    fn retention_floor(&self) -> Option<Duration> {
        self.admin(PURGE).ok()?.retention_floor()
    }

    fn apply_retention_floor(&self, floor: Duration) {
        if let Ok(admin) = self.admin(PURGE) {
            admin.apply_retention_floor(floor);
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Removal for SpoolStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move {
            self.caught_up(PURGE).await?;
            self.removal()?.positions(query).await
        })
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            self.caught_up(PURGE).await?;
            self.removal()?.remove(positions).await
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            self.caught_up(PURGE).await?;
            let mut open = self.removal()?.still_open(ids).await?;
            // Those of this process are open whether or not the target keeps a list.
            let own = self.shared.own.backlog();
            open.extend(ids.iter().filter(|id| own.open.contains(**id)));
            open.sort_unstable();
            open.dedup();
            Ok(open)
        })
    }

    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.removal()?.finish(copies_before).await })
    }
}

/// The seal is the target's: an event gets its leaf when it is there.
#[deny(clippy::missing_trait_methods)]
impl Sealing for SpoolStore {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        Box::pin(async move { self.sealing()?.newest_checkpoint().await })
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        Box::pin(async move { self.sealing()?.checkpoints(after, at_most).await })
    }

    fn unsealed<'a>(&'a self, position: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        Box::pin(async move {
            // An event that is not there yet is sealed later.
            let _ = self.caught_up(SEALING).await;
            self.sealing()?.unsealed(position, at_most).await
        })
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        Box::pin(async move { self.sealing()?.seal(batch).await })
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        Box::pin(async move { self.sealing()?.leaves(first, at_most).await })
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        Box::pin(async move { self.sealing()?.leaf_of(id).await })
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        Box::pin(async move { self.sealing()?.leaf_indexes(ids).await })
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        Box::pin(async move { self.sealing()?.nodes(level, first, at_most).await })
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            self.before_read(SEALING).await?;
            self.sealing()?.events(ids).await
        })
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        Box::pin(async move { self.sealing()?.removals(first, at_most).await })
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move { self.sealing()?.add_removal(number, note).await })
    }

    fn foreign_rows(&self, at_most: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        Box::pin(async move { self.sealing()?.foreign_rows(at_most).await })
    }
}

/// Waits until everything is shipped, as a purge does. Dead letters and open `started` events in the spool are left as they are.
#[deny(clippy::missing_trait_methods)]
impl CellErasure for SpoolStore {
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            self.caught_up(ERASURE).await?;
            self.erasure()?.erase(ids, replace).await
        })
    }

    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.erasure()?.finish().await })
    }
}

const ERASURE: &str = "erasure";
const READ: &str = "read";
const PURGE: &str = "purge";
const SEALING: &str = "sealing";
