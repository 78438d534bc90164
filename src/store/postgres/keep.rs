//! What provisions the tables and removes from them.

use super::indexes;
use super::partition;
use super::purge;
use super::roles::{Right, explained};
use super::schema;
use super::store::PostgresStore;
use crate::event::Timestamp;
use crate::store::{Keeper, Purged, StoreFuture};

impl Keeper for PostgresStore {
    fn init(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.keepers.lease(&self.config, "init").await?;
            let done = schema::recreate(&mut lease.db, &self.config.names).await;
            lease.settle(done)
        })
    }

    fn ensure_indexes(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.keepers.lease(&self.config, "ensure-indexes").await?;
            let done = async {
                schema::create(&mut lease.db, &self.config.names).await?;
                indexes::complete(&mut lease.db, &self.config.names).await?;
                partition::make_ahead(&mut lease.db, &self.config.names).await
            };
            let done = done.await;
            lease.settle(done)
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, Purged> {
        Box::pin(async move {
            let mut lease = self.keepers.lease(&self.config, "purge").await?;
            let done = purge::purge(&mut lease.db, &self.config.names, &self.front, before, at_most).await;
            let done = explained(&mut lease.db, &self.config.names, Right::Purge, done).await;
            lease.settle(done)
        })
    }
}
