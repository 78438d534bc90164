//! Creates the tables and deletes old events.

use super::grants::Right;
use super::indexes;
use super::partition;
use super::privileges::explained;
use super::purge;
use super::schema;
use super::store::PostgresStore;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreFuture};

impl StoreAdmin for PostgresStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, "init").await?;
            let result = schema::recreate(&mut lease.db, &self.config.identifiers).await;
            lease.finish(result)
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, "ensure-indexes").await?;
            let result = async {
                schema::create(&mut lease.db, &self.config.identifiers).await?;
                indexes::complete(&mut lease.db, &self.config.identifiers).await?;
                partition::create_ahead(&mut lease.db, &self.config.identifiers).await
            };
            let result = result.await;
            lease.finish(result)
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, "purge").await?;
            let result =
                purge::purge(&mut lease.db, &self.config.identifiers, &self.purge_position, before, at_most).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Purge, result).await;
            lease.finish(result)
        })
    }
}
