//! The erasure part: events are replaced by ones of which values were erased.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::append_statements::erase_batch;
use super::column_arrays::ColumnArrays;
use super::error::{DuringOperation as _, permanent};
use super::grants::Right;
use super::identifiers::{Identifiers, LEAVES, STARTED};
use super::json_text::JsonText;
use super::privileges::explained;
use super::row;
use super::sealing::tables;
use super::session::run;
use super::store::PostgresStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{CellErasure, ErasedEvent, ReplaceEventFn, StoreError, StoreErrorKind, StoreFuture, StoredSeed};

impl CellErasure for PostgresStore {
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            if ids.is_empty() {
                return Ok(0);
            }
            let mut lease = self.admin_sessions.lease(&self.config, DOING).await?;
            let result = replace_events(&mut lease.db, &self.config.identifiers, ids, replace).await;
            if result.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Denied) {
                // Nothing can be asked in a transaction that has failed.
                run(&mut lease.db, DOING, "ROLLBACK".to_owned()).await?;
            }
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Erase, result).await;
            lease.finish(result)
        })
    }

    /// The server's vacuum frees the rows.
    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn replace_events(
    db: &mut PgConnection,
    names: &Identifiers,
    ids: &[EventId],
    replace: ReplaceEventFn<'_>,
) -> Result<u64, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| Uuid::from(*id)).collect();
    let is_sealed = tables::exist(db, names).await?;
    run(db, DOING, "BEGIN".to_owned()).await?;
    // In the order of the ids: two erasures of the same events then never wait for each other in a circle.
    let sql = format!(
        "SELECT {} FROM {} AS e WHERE e.event_id = ANY ($1) ORDER BY e.event_id FOR UPDATE",
        row::columns(),
        names.table()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(&ids).fetch_all(&mut *db).await.during(DOING)?;
    let seeds = if is_sealed { seeds_of(db, names, &ids).await? } else { HashMap::new() };
    let mut erased = Vec::new();
    for row in &rows {
        let event = row::event_of(row, DOING)?;
        erased.extend(replace(&event, seeds.get(&event.event_id)));
    }
    if !erased.is_empty() {
        store(db, names, erased.as_slice()).await?;
    }
    run(db, DOING, "COMMIT".to_owned()).await?;
    Ok(erased.len() as u64)
}

async fn store(db: &mut PgConnection, names: &Identifiers, erased: &[ErasedEvent]) -> Result<(), StoreError> {
    let events: Vec<AuditEvent> = erased.iter().map(|erased| erased.event.clone()).collect();
    let sql = erase_batch(names);
    let query = ColumnArrays::of(&events).bind_columns(sqlx::query(AssertSqlSafe(sql)));
    let done = query.execute(&mut *db).await.during(DOING)?;
    if done.rows_affected() != events.len() as u64 {
        return Err(discarded());
    }
    // A recovery would bring the values back, in the event that ends an open one.
    let sql = format!(
        "UPDATE {} AS s SET event = g.event FROM ROWS FROM (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::text[])) \
         AS g(event_id, event) WHERE s.event_id = g.event_id",
        names.side_table(STARTED)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(events.iter().map(|event| Uuid::from(event.event_id)).collect::<Vec<_>>())
        .bind(events.iter().map(JsonText).collect::<Vec<_>>())
        .execute(&mut *db)
        .await
        .during(DOING)?;
    let seeds: Vec<(Uuid, &[u8])> =
        erased.iter().filter_map(|erased| Some((erased.event.event_id.into(), erased.seed.as_deref()?))).collect();
    if seeds.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE {} AS l SET seed = g.seed FROM ROWS FROM (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::bytea[])) \
         AS g(event_id, seed) WHERE l.event_id = g.event_id",
        names.side_table(LEAVES)
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(seeds.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(seeds.iter().map(|(_, seed)| *seed).collect::<Vec<_>>())
        .execute(db)
        .await
        .during(DOING)?;
    if done.rows_affected() == seeds.len() as u64 { Ok(()) } else { Err(discarded()) }
}

/// Returns the seeds of these events, and keeps others from changing them until the transaction ends.
async fn seeds_of(
    db: &mut PgConnection,
    names: &Identifiers,
    ids: &[Uuid],
) -> Result<HashMap<EventId, StoredSeed>, StoreError> {
    let sql = format!(
        "SELECT event_id, seed FROM {} WHERE event_id = ANY ($1) AND n >= 0 ORDER BY event_id FOR UPDATE",
        names.side_table(LEAVES)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(db).await.during(DOING)?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get(0).during(DOING)?;
            Ok((id.into(), StoredSeed::from_bytes(row.try_get(1).during(DOING)?)))
        })
        .collect()
}

fn discarded() -> StoreError {
    permanent(DOING).with_hint("a trigger or a rule on the tables of the log discards changes; drop it")
}

const DOING: &str = "erasing";
