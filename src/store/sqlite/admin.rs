//! The admin part: creates the tables, rebuilds indexes, purges.

use super::error::DuringOperation as _;
use super::journal::journal_cache::JournalCache;
use super::liveness_lock::{DeadWriter, writer_ids};
use super::purge;
use super::repair;
use super::schema;
use super::segments::segment::Segment;
use super::segments::{index_check, value_index};
use super::store::SqliteStore;
use super::writer_state::{StateTransaction, WriterState};
use crate::event::Timestamp;
use crate::log_lines::log_line;
use crate::store::{PurgeOutcome, StoreAdmin, StoreError, StoreFuture};

impl StoreAdmin for SqliteStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("init").await?;
            let result = init(&mut lease.state).await;
            lease.finish(result).await
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("ensure-indexes").await?;
            let connection = &mut lease.state.connection;
            let lock_timeout = self.config.lock_timeout();
            let done = schema::create(&mut connection.db, self.config.shares_file, lock_timeout).await;
            lease.finish(done).await?;
            loop {
                let mut lease = self.lease("ensure-indexes").await?;
                let repaired = repair::repair_some(&mut lease.state).await;
                if !lease.finish(repaired).await? {
                    break;
                }
            }
            let mut lease = self.lease("ensure-indexes").await?;
            let damaged = index_check::discard_damaged(&mut lease.state).await;
            let damaged = lease.finish(damaged).await?;
            if damaged > 0 {
                log_line(move || {
                    tracing::warn!(segments = damaged, "damaged indexes of the audit log are built again");
                });
            }
            // A step is a lease of its own, so that an append that waits gets its turn in between.
            loop {
                let mut lease = self.lease("ensure-indexes").await?;
                let result = value_index::merge_next_parts(&mut lease.state).await;
                if !lease.finish(result).await? {
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
            let result = overwriting(&mut lease.state, async |state| {
                let is_old = purge::compact_old(state, before.as_micros(), at_most).await?;
                Ok((is_old, purge::remove_open(state, before, at_most).await?))
            });
            let result = result.await;
            let (is_in_journal, closed) = lease.finish(result).await?;
            let mut lease = self.lease("purge").await?;
            let result = overwriting(&mut lease.state, async |state| {
                purge::delete_old(state, before.as_micros(), at_most).await
            });
            let result = result.await;
            let PurgeOutcome { deleted: removed, has_more: more } = lease.finish(result).await?;
            self.delete_stale_postings().await?;
            let more = more || is_in_journal || closed >= at_most as u64;
            if !more {
                self.scrub_if_due().await?;
            }
            Ok(PurgeOutcome { deleted: removed, has_more: more })
        })
    }
}

impl SqliteStore {
    /// Deletes the postings that a deletion or an erasure has left, a step at a time.
    pub(super) async fn delete_stale_postings(&self) -> Result<(), StoreError> {
        loop {
            let mut lease = self.lease("purge").await?;
            if !lease.state.segments.iter().any(Segment::has_stale_postings) {
                return lease.finish(Ok(())).await;
            }
            let left = overwriting(&mut lease.state, async |state| purge::delete_stale(state).await).await;
            if !lease.finish(left).await? {
                return Ok(());
            }
        }
    }

    /// Overwrites copies of deleted values in free pages, also those that a killed purge or erasure has left.
    pub(super) async fn scrub_if_due(&self) -> Result<(), StoreError> {
        let mut lease = self.lease("purge").await?;
        let is_due = purge::is_scrub_due(&mut lease.state).await;
        if !lease.finish(is_due).await? {
            return Ok(());
        }
        // A checkpoint beside it would keep it from emptying the log.
        let _none = self.maintaining.lock().await;
        let mut left = None;
        loop {
            let mut lease = self.lease("purge").await?;
            let result = purge::scrub(&mut lease.state, left).await;
            left = lease.finish(result).await?;
            if left.is_none() {
                return Ok(());
            }
        }
    }
}

/// Runs `step` while deleted bytes are overwritten (`PRAGMA secure_delete`).
pub(super) async fn overwriting<T>(
    state: &mut WriterState,
    step: impl AsyncFnOnce(&mut WriterState) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    purge::begin_overwriting(state).await?;
    let result = step(state).await?;
    purge::end_overwriting(state).await?;
    Ok(result)
}

async fn init(state: &mut WriterState) -> Result<(), StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let dead: Vec<DeadWriter> = writer_ids(&mut transaction.connection.db)
        .await?
        .iter()
        .filter_map(|id| DeadWriter::find(&transaction.connection.database, id))
        .collect();
    let last = schema::drop_all(&mut transaction.connection.db).await?;
    schema::create_tables(&mut transaction.connection.db).await?;
    sqlx::query("UPDATE audit_journal SET seq = ?1 + 1")
        .bind(last)
        .execute(&mut *transaction.connection.db)
        .await
        .during("init")?;
    transaction.journal = JournalCache::default();
    transaction.refresh().await?;
    transaction.commit().await?;
    dead.into_iter().for_each(DeadWriter::remove);
    Ok(())
}
