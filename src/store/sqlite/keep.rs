//! What provisions the file and removes from it.

use std::sync::atomic::Ordering;

use sqlx::sqlite::SqliteConnection;

use super::append::{begin, commit};
use super::connection::Connection;
use super::error::Doing as _;
use super::instance::Dead;
use super::store::SqliteStore;
use super::{backlog, index, purge, schema};
use crate::event::Timestamp;
use crate::store::{Keeper, Purged, StoreError, StoreFuture};

impl Keeper for SqliteStore {
    fn init(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("init").await?;
            let done = init(&mut lease.connection).await;
            lease.settle(done).await
        })
    }

    fn ensure_indexes(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("ensure-indexes").await?;
            let done = schema::create(&mut lease.connection.db, self.config.beside).await;
            lease.settle(done).await?;
            // A step is a lease of its own, so that an append that waits gets its turn in between.
            loop {
                let mut lease = self.lease("ensure-indexes").await?;
                let done = index::merge(&mut lease.connection).await;
                if !lease.settle(done).await? {
                    return Ok(());
                }
            }
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, Purged> {
        Box::pin(async move {
            let at_most = at_most.max(1);
            // Each step is a lease of its own, so that an append that waits gets its turn in between.
            let mut lease = self.lease("purge").await?;
            let done = overwriting(&mut lease.connection, async |connection| {
                let is_old = purge::move_old(connection, before.as_micros(), at_most).await?;
                Ok((is_old, purge::remove_open(connection, before, at_most).await?))
            });
            let done = done.await;
            let (is_in_journal, closed) = lease.settle(done).await?;
            let mut lease = self.lease("purge").await?;
            let done = overwriting(&mut lease.connection, async |connection| {
                purge::remove(connection, before.as_micros(), at_most).await
            });
            let done = done.await;
            let Purged { removed, more } = lease.settle(done).await?;
            let more = more || is_in_journal || closed >= at_most as u64;
            if removed > 0 || closed > 0 {
                self.is_to_scrub.store(true, Ordering::Relaxed);
            }
            if !more && self.is_to_scrub.swap(false, Ordering::Relaxed) {
                self.scrub().await?;
            }
            Ok(Purged { removed, more })
        })
    }
}

impl SqliteStore {
    async fn scrub(&self) -> Result<(), StoreError> {
        let mut left = None;
        loop {
            let mut lease = self.lease("purge").await?;
            let done = purge::scrub(&mut lease.connection, left).await;
            left = lease.settle(done).await?;
            if left.is_none() {
                return Ok(());
            }
        }
    }
}

/// Does `step` with a connection that overwrites what it deletes.
async fn overwriting<T>(
    connection: &mut Connection,
    step: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    purge::begin_overwriting(connection).await?;
    let done = step(connection).await?;
    purge::end_overwriting(connection).await?;
    Ok(done)
}

async fn init(connection: &mut Connection) -> Result<(), StoreError> {
    begin(&mut connection.db).await?;
    let dead: Vec<Dead> =
        instances(&mut connection.db).await?.iter().filter_map(|id| Dead::find(&connection.database, id)).collect();
    let last = schema::drop_all(&mut connection.db).await?;
    schema::tables(&mut connection.db).await?;
    sqlx::query("UPDATE audit_journal SET seq = ?1 + 1").bind(last).execute(&mut *connection.db).await.doing("init")?;
    connection.backlog = backlog::Backlog::default();
    backlog::sync(connection).await?;
    commit(&mut connection.db).await?;
    dead.into_iter().for_each(Dead::bury);
    Ok(())
}

/// Every instance that the file names.
pub(super) async fn instances(db: &mut SqliteConnection) -> Result<Vec<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT id FROM audit_instances").fetch_all(db).await.doing("listing the writers")
}
