//! Creates the collections and deletes old events.

use super::purge;
use super::schema;
use super::store::MongodbStore;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreFuture};

impl StoreAdmin for MongodbStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            schema::drop_all(&self.connection, &self.config.names, "init").await?;
            schema::create(&self.connection, &self.config.names, "init").await
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(schema::create(&self.connection, &self.config.names, "migrate"))
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(purge::purge(&self.connection, &self.config.names, before, at_most))
    }
}
