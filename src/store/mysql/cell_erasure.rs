//! The erasure part: events are replaced by ones of which values were erased.

use std::collections::HashMap;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::append::EventRow;
use super::error::{DuringOperation as _, permanent};
use super::event_columns::ERASABLE;
use super::identifiers::{Identifiers, LEAVES, STARTED};
use super::row::{columns, event_of, id_of};
use super::sealing::tables;
use super::session::{bind_ids, marks, run};
use super::store::MysqlStore;
use crate::event::EventId;
use crate::store::{CellErasure, ErasedEvent, ReplaceEventFn, StoreError, StoreFuture, StoredSeed};

impl CellErasure for MysqlStore {
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            if ids.is_empty() {
                return Ok(0);
            }
            let mut lease = self.admin_sessions.lease(&self.config, DOING).await?;
            let result = replace_events(&mut lease.db, &self.config.identifiers, ids, replace).await;
            lease.finish(result)
        })
    }

    /// The server's purge thread frees the old versions of the rows.
    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn replace_events(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
    replace: ReplaceEventFn<'_>,
) -> Result<u64, StoreError> {
    let is_sealed = tables::exist(db, names).await?;
    run(db, DOING, "BEGIN".to_owned()).await?;
    // In the order of the ids: two erasures of the same events then rarely wait for each other in a circle.
    let sql = format!(
        "SELECT {} FROM {} AS e WHERE e.event_id IN ({}) ORDER BY e.event_id FOR UPDATE",
        columns(),
        names.table(),
        marks(ids.len())
    );
    let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), ids);
    let rows = query.fetch_all(&mut *db).await.during(DOING)?;
    let seeds = if is_sealed { seeds_of(db, names, ids).await? } else { HashMap::new() };
    let mut erased = Vec::new();
    for row in &rows {
        let event = event_of(row, DOING)?;
        erased.extend(replace(&event, seeds.get(&event.event_id)));
    }
    for erased in &erased {
        store(db, names, erased).await?;
    }
    run(db, DOING, "COMMIT".to_owned()).await?;
    Ok(erased.len() as u64)
}

/// Replaces one event, the copy of an open one, and the seed.
async fn store(db: &mut MySqlConnection, names: &Identifiers, erased: &ErasedEvent) -> Result<(), StoreError> {
    let id = erased.event.event_id.to_bytes().to_vec();
    let row = EventRow::of(&erased.event)?;
    let set = ERASABLE.map(|column| format!("{column} = ?")).join(", ");
    let sql = format!("UPDATE {} SET {set} WHERE event_id = ?", names.table());
    let done = row.bind_erasable(sqlx::query(AssertSqlSafe(sql))).bind(&id).execute(&mut *db).await.during(DOING)?;
    // The server counts the rows that it has found, also where a value stays.
    if done.rows_affected() != 1 {
        return Err(discarded());
    }
    // A recovery would bring the values back, in the event that ends an open one.
    let sql = format!("UPDATE {} SET event = ? WHERE event_id = ?", names.side_table(STARTED));
    sqlx::query(AssertSqlSafe(sql)).bind(row.text()).bind(&id).execute(&mut *db).await.during(DOING)?;
    let Some(seed) = &erased.seed else { return Ok(()) };
    let sql = format!("UPDATE {} SET seed = ? WHERE event_id = ?", names.side_table(LEAVES));
    let done = sqlx::query(AssertSqlSafe(sql)).bind(seed.as_slice()).bind(&id).execute(db).await.during(DOING)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(discarded()) }
}

/// Returns the seeds of these events, and keeps others from changing them until the transaction ends.
async fn seeds_of(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
) -> Result<HashMap<EventId, StoredSeed>, StoreError> {
    let sql = format!(
        "SELECT event_id, seed FROM {} WHERE event_id IN ({}) AND n >= 0 ORDER BY event_id FOR UPDATE",
        names.side_table(LEAVES),
        marks(ids.len())
    );
    let rows = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), ids).fetch_all(db).await.during(DOING)?;
    rows.iter().map(|row| Ok((id_of(row, 0, DOING)?, StoredSeed::from_bytes(row.try_get(1).during(DOING)?)))).collect()
}

fn discarded() -> StoreError {
    permanent(DOING).with_hint("a trigger on a table of the log discards changes; drop it")
}

const DOING: &str = "erasing";
