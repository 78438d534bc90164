//! The part that deletes single events.

use super::scan::still_open;
use super::store::JsonlStore;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreFuture};

impl Removal for JsonlStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        let query = query.clone();
        Box::pin(self.read(move |scan| scan.positions(&query)))
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        let (shared, positions) = (self.shared.clone(), positions.to_vec());
        Box::pin(async move {
            if positions.is_empty() {
                return Ok(0);
            }
            self.blocking(DOING, move || shared.remove_sealed(&positions)).await
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        let (shared, ids) = (self.shared.clone(), ids.to_vec());
        Box::pin(self.blocking(DOING, move || Ok(still_open(&shared.snapshot()?, &ids))))
    }

    /// Keeps no copies of open events.
    fn finish(&self, _: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(self.tidy())
    }
}

const DOING: &str = "purge";
