//! What provisions the file and removes from it.

use std::sync::atomic::Ordering;

use sqlx::sqlite::SqliteConnection;

use super::connection::WriteConnection;
use super::error::DuringOperation as _;
use super::journal::append::{begin, commit};
use super::journal::journal_cache;
use super::purge;
use super::schema;
use super::segments::value_index;
use super::store::SqliteStore;
use super::writer_lock::DeadWriter;
use crate::event::Timestamp;
use crate::store::{PurgeOutcome, StoreAdmin, StoreError, StoreFuture};

impl StoreAdmin for SqliteStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("init").await?;
            let done = init(&mut lease.connection).await;
            lease.finish(done).await
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("ensure-indexes").await?;
            let done = schema::create(&mut lease.connection.db, self.config.shares_file).await;
            lease.finish(done).await?;
            // A step is a lease of its own, so that an append that waits gets its turn in between.
            loop {
                let mut lease = self.lease("ensure-indexes").await?;
                let done = value_index::merge_next_field(&mut lease.connection).await;
                if !lease.finish(done).await? {
                    return Ok(());
                }
            }
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let at_most = at_most.max(1);
            // Each step is a lease of its own, so that an append that waits gets its turn in between.
            let mut lease = self.lease("purge").await?;
            let done = overwriting(&mut lease.connection, async |connection| {
                let is_old = purge::compact_old(connection, before.as_micros(), at_most).await?;
                Ok((is_old, purge::remove_open(connection, before, at_most).await?))
            });
            let done = done.await;
            let (is_in_journal, closed) = lease.finish(done).await?;
            let mut lease = self.lease("purge").await?;
            let done = overwriting(&mut lease.connection, async |connection| {
                purge::delete_old(connection, before.as_micros(), at_most).await
            });
            let done = done.await;
            let PurgeOutcome { deleted: removed, has_more: more } = lease.finish(done).await?;
            let more = more || is_in_journal || closed >= at_most as u64;
            if removed > 0 || closed > 0 {
                self.is_to_scrub.store(true, Ordering::Relaxed);
            }
            if !more && self.is_to_scrub.swap(false, Ordering::Relaxed) {
                self.scrub().await?;
            }
            Ok(PurgeOutcome { deleted: removed, has_more: more })
        })
    }
}

impl SqliteStore {
    async fn scrub(&self) -> Result<(), StoreError> {
        let mut left = None;
        loop {
            let mut lease = self.lease("purge").await?;
            let done = purge::scrub(&mut lease.connection, left).await;
            left = lease.finish(done).await?;
            if left.is_none() {
                return Ok(());
            }
        }
    }
}

/// Does `step` with a connection that overwrites what it deletes.
async fn overwriting<T>(
    connection: &mut WriteConnection,
    step: impl AsyncFnOnce(&mut WriteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    purge::begin_overwriting(connection).await?;
    let done = step(connection).await?;
    purge::end_overwriting(connection).await?;
    Ok(done)
}

async fn init(connection: &mut WriteConnection) -> Result<(), StoreError> {
    begin(&mut connection.db).await?;
    let dead: Vec<DeadWriter> = writer_ids(&mut connection.db)
        .await?
        .iter()
        .filter_map(|id| DeadWriter::find(&connection.database, id))
        .collect();
    let last = schema::drop_all(&mut connection.db).await?;
    schema::create_tables(&mut connection.db).await?;
    sqlx::query("UPDATE audit_journal SET seq = ?1 + 1")
        .bind(last)
        .execute(&mut *connection.db)
        .await
        .during("init")?;
    connection.journal_cache = journal_cache::JournalCache::default();
    journal_cache::sync(connection).await?;
    commit(&mut connection.db).await?;
    dead.into_iter().for_each(DeadWriter::remove);
    Ok(())
}

/// Every instance that the file names.
pub(super) async fn writer_ids(db: &mut SqliteConnection) -> Result<Vec<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT id FROM audit_instances").fetch_all(db).await.during("listing the writers")
}
