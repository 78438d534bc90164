//! The erasure part: events are replaced by ones of which values were erased.
//!
//! Events of the journal are moved into segments first. Each step is one transaction and leaves the file whole, so an erasure that is
//! killed goes on with the next call, in whatever process.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::admin::overwriting;
use super::error::{DuringOperation as _, discarded};
use super::id_blob::{id_bytes, id_of};
use super::purge;
use super::removal::compact_events;
use super::sealing::tables;
use super::segments::segment::{self, Segment};
use super::segments::segment_row;
use super::store::SqliteStore;
use super::writer_state::{StateTransaction, WriterState};
use crate::event::{AuditEvent, EventId};
use crate::store::{CellErasure, ErasedEvent, ReplaceEventFn, StoreError, StoreFuture, StoredSeed};

impl CellErasure for SqliteStore {
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            if ids.is_empty() {
                return Ok(0);
            }
            let set: HashSet<u128> = ids.iter().map(|id| id.as_u128()).collect();
            // Each step is a lease of its own, so that an append that waits gets its turn in between.
            loop {
                let mut lease = self.lease(DOING).await?;
                let done = overwriting(&mut lease.state, async |state| compact_events(state, &set).await);
                let done = done.await;
                if !lease.finish(done).await? {
                    break;
                }
            }
            let mut lease = self.lease(DOING).await?;
            let done = overwriting(&mut lease.state, async |state| replace_events(state, ids, replace).await);
            let done = done.await;
            let replaced = lease.finish(done).await?;
            self.delete_stale_postings().await?;
            Ok(replaced)
        })
    }

    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            // An erasure that was killed before this left postings, and copies, to the next one.
            self.delete_stale_postings().await?;
            self.scrub_if_due().await
        })
    }
}

async fn replace_events(
    state: &mut WriterState,
    ids: &[EventId],
    replace: ReplaceEventFn<'_>,
) -> Result<u64, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    // Triggers are looked for when the schema has changed.
    transaction.refresh().await?;
    let seeds = seeds_of(&mut transaction.connection.db, ids).await?;
    let mut replaced = 0;
    for segment in segment::load(&mut transaction.connection.db).await? {
        let here: Vec<EventId> = ids.iter().copied().filter(|id| segment.may_contain(id.as_u128())).collect();
        if !here.is_empty() {
            replaced += replace_in(&mut transaction.connection.db, &segment, &here, &seeds, replace).await?;
        }
    }
    transaction.segments = segment::load(&mut transaction.connection.db).await?;
    if replaced > 0 {
        purge::note_scrub_due(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(replaced)
}

async fn replace_in(
    db: &mut SqliteConnection,
    segment: &Segment,
    ids: &[EventId],
    seeds: &HashMap<EventId, StoredSeed>,
    replace: ReplaceEventFn<'_>,
) -> Result<u64, StoreError> {
    let n = segment.n;
    let sql = format!(
        "SELECT {}, seq FROM audit_segment_{n} WHERE event_id IN (SELECT unhex(value) FROM json_each(?1))",
        segment_row::COLUMNS
    );
    let listed = serde_json::to_string(ids).during(DOING)?;
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(listed).fetch_all(&mut *db).await.during(DOING)?;
    let mut replaced = 0;
    for row in &rows {
        let seq: i64 = row.try_get(segment_row::EVENT + 1).during(DOING)?;
        let event: AuditEvent = segment_row::event(row)?;
        let Some(erased) = replace(&event, seeds.get(&event.event_id)) else { continue };
        store(db, n, seq, &erased).await?;
        replaced += 1;
    }
    if replaced > 0 && segment.has_index() {
        // The index has the erased values, or digests of them. They are deleted before the erasure ends.
        segment::set_unindexed(db, n).await?;
    }
    Ok(replaced)
}

async fn store(db: &mut SqliteConnection, n: i64, seq: i64, erased: &ErasedEvent) -> Result<(), StoreError> {
    let ErasedEvent { event, seed } = erased;
    let text = serde_json::to_string(event).during(DOING)?;
    let id = id_bytes(event.event_id.as_u128());
    let sql = format!("UPDATE audit_segment_{n} SET user_email = ?2, remote_addr = ?3, event = ?4 WHERE seq = ?1");
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(seq)
        .bind(event.actor.user_email.as_deref())
        .bind(event.actor.remote_addr.as_deref())
        .bind(&text)
        .execute(&mut *db)
        .await
        .during(DOING)?;
    if done.rows_affected() != 1 {
        return Err(discarded(DOING));
    }
    // A recovery would bring the values back, in the event that ends an open one.
    let sql = "UPDATE audit_started SET event = ?2 WHERE event_id = ?1";
    sqlx::query(sql).bind(&id).bind(&text).execute(&mut *db).await.during(DOING)?;
    if let Some(seed) = seed {
        let sql = "UPDATE audit_leaves SET seed = ?2 WHERE event_id = ?1";
        let done = sqlx::query(sql).bind(&id).bind(seed).execute(db).await.during(DOING)?;
        if done.rows_affected() != 1 {
            return Err(discarded(DOING));
        }
    }
    Ok(())
}

async fn seeds_of(db: &mut SqliteConnection, ids: &[EventId]) -> Result<HashMap<EventId, StoredSeed>, StoreError> {
    if !tables::exist(db).await? {
        return Ok(HashMap::new());
    }
    let sql = "SELECT CAST(event_id AS BLOB), CAST(seed AS BLOB) FROM audit_leaves \
               WHERE n >= 0 AND event_id IN (SELECT unhex(value) FROM json_each(?1))";
    let rows = sqlx::query(sql).bind(serde_json::to_string(ids).during(DOING)?).fetch_all(db).await.during(DOING)?;
    rows.iter()
        .map(|row| {
            let id = row.try_get::<&[u8], _>(0).and_then(id_of).map(EventId::from_u128).during(DOING)?;
            let seed: Option<&[u8]> = row.try_get(1).during(DOING)?;
            Ok((id, StoredSeed::from_bytes(seed.unwrap_or_default())))
        })
        .collect()
}

const DOING: &str = "erasing";
