//! The removal part: positions of events, and the deletion of single ones.
//!
//! Events of the journal are moved into segments first. A segment without an event left is dropped. Each step is one
//! transaction and leaves the file whole, so a removal that is killed goes on with the next call, in whatever process.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::admin::overwriting;
use super::error::DuringOperation as _;
use super::events_view;
use super::id_blob::id_of;
use super::purge::{self, compact_through};
use super::read::reader;
use super::sealing::removals::delete_seeds;
use super::segments::segment::{self, Segment};
use super::store::SqliteStore;
use super::writer_state::{StateTransaction, WriterState};
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreError, StoreFuture};

impl Removal for SqliteStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let done = reader::positions(lease.db(), query).await;
            self.readers.finish(lease, done).await
        })
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            if positions.is_empty() {
                return Ok(0);
            }
            let ids: HashSet<u128> = positions.iter().map(|position| position.event_id.as_u128()).collect();
            // Each step is a lease of its own, so that an append that waits gets its turn in between.
            loop {
                let mut lease = self.lease(DOING).await?;
                let done = overwriting(&mut lease.state, async |state| compact_events(state, &ids).await);
                let done = done.await;
                if !lease.finish(done).await? {
                    break;
                }
            }
            let mut lease = self.lease(DOING).await?;
            let done = overwriting(&mut lease.state, async |state| delete_events(state, positions).await);
            let done = done.await;
            let deleted = lease.finish(done).await?;
            self.delete_stale_postings().await?;
            Ok(deleted)
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            let mut lease = self.readers.take(&self.config).await?;
            let sql = "SELECT CAST(event_id AS BLOB) FROM audit_started \
                       WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))";
            let open = sqlx::query_scalar(sql)
                .bind(serde_json::to_string(ids).during(DOING)?)
                .fetch_all(lease.db())
                .await
                .during(DOING);
            let open: Vec<Vec<u8>> = self.readers.finish(lease, open).await?;
            // An id that is none is of no event.
            Ok(open.iter().filter_map(|id| id_of(id).ok()).map(EventId::from_u128).collect())
        })
    }

    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            while let Some(before) = copies_before {
                let mut lease = self.lease(DOING).await?;
                let done = overwriting(&mut lease.state, async |state| {
                    purge::remove_open(state, before, COPIES_AT_ONCE).await
                });
                let done = done.await;
                let deleted = lease.finish(done).await?;
                if deleted < COPIES_AT_ONCE as u64 {
                    break;
                }
            }
            self.scrub_if_due().await
        })
    }
}

/// Moves a chunk of the journal if one of these events is in it. Returns true if one still is.
pub(super) async fn compact_events(state: &mut WriterState, ids: &HashSet<u128>) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.refresh().await?;
    let Some(seq) = transaction.journal.last_row_with(ids) else {
        transaction.commit().await?;
        return Ok(false);
    };
    compact_through(&mut transaction, seq, usize::MAX).await?;
    let is_left = transaction.journal.last_row_with(ids).is_some();
    transaction.commit().await?;
    Ok(is_left)
}

/// Deletes these events from the segments.
async fn delete_events(state: &mut WriterState, positions: &[Cursor]) -> Result<u64, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    let mut deleted = 0;
    for segment in segment::load(&mut transaction.connection.db).await? {
        let here: Vec<(EventId, i64)> = positions
            .iter()
            .map(|position| (position.event_id, position.created_at.as_micros()))
            .filter(|(id, at)| segment.may_contain(id.as_u128()) && (segment.first_at..=segment.last_at).contains(at))
            .collect();
        if !here.is_empty() {
            deleted += delete_from(&mut transaction, &segment, &here).await?;
        }
    }
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    if deleted > 0 {
        purge::note_scrub_due(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(deleted)
}

async fn delete_from(
    state: &mut WriterState,
    segment: &Segment,
    positions: &[(EventId, i64)],
) -> Result<u64, StoreError> {
    let n = segment.n;
    let db = &mut state.connection.db;
    let sql = format!(
        "DELETE FROM audit_segment_{n} WHERE seq IN (SELECT event.seq FROM json_each(?1) AS position \
         CROSS JOIN audit_segment_{n} AS event ON event.event_id = unhex(position.value ->> 0) \
         WHERE CAST(event.created_at AS INTEGER) = position.value ->> 1) RETURNING event_id"
    );
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(serde_json::to_string(positions).during(DOING)?)
        .fetch_all(&mut **db)
        .await
        .during(DOING)?;
    let deleted = rows.len() as u64;
    if deleted == 0 {
        return Ok(0);
    }
    let ids: Vec<EventId> = rows.iter().filter_map(|id| id_of(id).ok()).map(EventId::from_u128).collect();
    delete_seeds(db, &ids).await?;
    let sql = format!("SELECT EXISTS (SELECT 1 FROM audit_segment_{n})");
    let is_left: bool = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut **db).await.during(DOING)?;
    if !is_left {
        if segment::drop_empty(db, n).await? {
            events_view::refresh(db).await?;
        }
        return Ok(deleted);
    }
    if segment.has_index() {
        segment::set_unindexed(db, n).await?;
    }
    segment::set_fewer(db, n, deleted).await?;
    Ok(deleted)
}

const DOING: &str = "purge";
const COPIES_AT_ONCE: usize = 1000;
