//! Creates the tables and deletes old events.

use super::purge;
use super::schema;
use super::store::DuckdbStore;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreFuture};

impl StoreAdmin for DuckdbStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.write("init", |writer| writer.commit("init", schema::recreate)))
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.write("ensure-indexes", |writer| schema::provide(writer.session("ensure-indexes")?)))
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(self.write(purge::DOING, move |writer| purge::purge(writer, before, at_most)))
    }
}
