//! Creating and deleting: in every member that can, the one that is read first.

use std::sync::Arc;
use std::time::Duration;

use super::NAME;
use super::health::guarded;
use super::reader::{caught_up, error_of};
use super::store::TeeStore;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{PurgeOutcome, Removal, StoreAdmin, StoreError, StoreErrorKind, StoreFuture};

impl TeeStore {
    /// Calls the admin part of each member.
    async fn each_admin(
        &self,
        operation: &'static str,
        call: impl for<'a> Fn(&'a dyn StoreAdmin) -> StoreFuture<'a, ()>,
    ) -> Result<(), StoreError> {
        for lane in self.state.lanes_reading_first() {
            if lane.is_open() && lane.store.parts().admin.is_none() {
                continue;
            }
            caught_up(lane, operation).await?;
            let Some(admin) = lane.store.parts().admin else { continue };
            guarded(|| call(admin)).await.map_err(|failure| error_of(lane, &failure, operation))?;
        }
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
impl StoreAdmin for TeeStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.each_admin("init", |admin| admin.recreate()))
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.each_admin("ensure-indexes", |admin| admin.migrate()))
    }

    /// Purges each member that can, a chunk of each in one call, the one that is read first. The number is that of the events of the
    /// member that is read.
    ///
    /// A member that fails does not keep the others from being purged; its error is returned when they are.
    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let reading = self.reading_lane(PURGE)?;
            let mut outcome = PurgeOutcome { deleted: 0, has_more: false };
            let mut failed = None;
            for lane in self.state.lanes_reading_first() {
                if lane.is_open() && lane.store.parts().admin.is_none() {
                    continue;
                }
                let caught_up = caught_up(lane, PURGE).await;
                let purged = match (caught_up, lane.store.parts().admin) {
                    (Ok(()), None) => continue,
                    (Ok(()), Some(admin)) => {
                        guarded(|| admin.purge(before, at_most)).await.map_err(|it| error_of(lane, &it, PURGE))
                    }
                    (Err(error), _) => Err(error),
                };
                let is_read = Arc::ptr_eq(lane, reading);
                match purged {
                    Ok(of_member) => {
                        outcome.deleted += if is_read { of_member.deleted } else { 0 };
                        outcome.has_more |= of_member.has_more;
                    }
                    // Without its count there is nothing to go by.
                    Err(error) if is_read => return Err(error),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            match failed {
                Some(error) if !outcome.has_more => Err(error),
                _ => Ok(outcome),
            }
        })
    }

    fn retention_floor(&self) -> Option<Duration> {
        let admins = self.state.lanes.iter().filter_map(|lane| lane.store.parts().admin);
        admins.filter_map(|admin| admin.retention_floor()).max()
    }

    fn apply_retention_floor(&self, floor: Duration) {
        for admin in self.state.lanes.iter().filter_map(|lane| lane.store.parts().admin) {
            admin.apply_retention_floor(floor);
        }
    }
}

impl TeeStore {
    /// Returns the removal part of the member that is read, which has what it was given.
    async fn removal(&self) -> Result<&dyn Removal, StoreError> {
        let lane = self.reading_lane(PURGE)?;
        if self.state.reads_may_lag {
            caught_up(lane, PURGE).await?;
        }
        let removal = lane.store.parts().removal;
        removal.ok_or_else(|| StoreError::new(StoreErrorKind::Unsupported, NAME, PURGE))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Removal for TeeStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move { self.removal().await?.positions(query).await })
    }

    /// Deletes the events in each member that can. The other members come first, so that an event that is listed no more is nowhere.
    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            for lane in self.state.lanes_reading_first().skip(1) {
                if lane.is_open() && lane.store.parts().removal.is_none() {
                    continue;
                }
                caught_up(lane, PURGE).await?;
                let Some(removal) = lane.store.parts().removal else { continue };
                guarded(|| removal.remove(positions)).await.map_err(|failure| error_of(lane, &failure, PURGE))?;
            }
            self.removal().await?.remove(positions).await
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move { self.removal().await?.still_open(ids).await })
    }

    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            for lane in self.state.lanes_reading_first() {
                let Some(removal) = lane.store.parts().removal else { continue };
                guarded(|| removal.finish(copies_before)).await.map_err(|failure| error_of(lane, &failure, PURGE))?;
            }
            Ok(())
        })
    }
}

const PURGE: &str = "purge";
