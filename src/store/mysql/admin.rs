//! Creates the tables and deletes old events.

use super::indexes;
use super::partition;
use super::purge;
use super::schema;
use super::store::MysqlStore;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreFuture};

impl StoreAdmin for MysqlStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, "init").await?;
            let is_mariadb = self.config.facts.is_mariadb();
            let result = schema::recreate(&mut lease.db, &self.config.identifiers, is_mariadb).await;
            lease.finish(result)
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, "ensure-indexes").await?;
            let result = async {
                let names = &self.config.identifiers;
                schema::create(&mut lease.db, names, self.config.facts.is_mariadb()).await?;
                indexes::complete(&mut lease.db, names).await?;
                partition::create_ahead(&mut lease.db, names).await.map(drop)
            };
            let result = result.await;
            lease.finish(result)
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let mut lease = self.admin_sessions.lease(&self.config, "purge").await?;
            let result = purge::purge(&mut lease.db, &self.config, before, at_most).await;
            lease.finish(result)
        })
    }
}
