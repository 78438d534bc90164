//! Removals that go wrong.

use super::super::fault::Fault;
use super::FaultyStore;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreError, StoreErrorKind, StoreFuture};

#[deny(clippy::missing_trait_methods)]
impl Removal for FaultyStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move {
            let removal = self.inner_removal()?;
            match self.fault() {
                Some(Fault::PositionsReversed) => {
                    let mut positions = removal.positions(query).await?;
                    positions.reverse();
                    Ok(positions)
                }
                Some(Fault::PositionsIgnoreSkip) => {
                    let query = PageQuery { skip: 0, ..query.clone() };
                    removal.positions(&query).await
                }
                _ => removal.positions(query).await,
            }
        })
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let removal = self.inner_removal()?;
            match self.fault() {
                Some(Fault::RemovesNothing) => Ok(positions.len() as u64),
                Some(Fault::RemoveMiscounts) => Ok(removal.remove(positions).await? + 1),
                Some(Fault::RemoveTakesTheNewest) => {
                    let deleted = removal.remove(positions).await?;
                    self.lose_the_newest().await?;
                    Ok(deleted)
                }
                Some(Fault::RemoveIgnoresTime) => {
                    let mut there = Vec::new();
                    for position in positions {
                        let event = self.inner_reader()?.get(position.event_id).await?;
                        there.extend(event.as_ref().map(Cursor::of));
                    }
                    removal.remove(&there).await
                }
                _ => removal.remove(positions).await,
            }
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            match self.fault() {
                Some(Fault::NothingIsOpen) => Ok(Vec::new()),
                Some(Fault::EverythingIsOpen) => Ok(ids.to_vec()),
                _ => self.inner_removal()?.still_open(ids).await,
            }
        })
    }

    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.inner_removal()?.finish(copies_before).await })
    }
}

impl FaultyStore {
    fn inner_removal(&self) -> Result<&dyn Removal, StoreError> {
        self.inner.parts().removal.ok_or_else(|| self.error(StoreErrorKind::Unsupported, "purge"))
    }
}
