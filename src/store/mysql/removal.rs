//! The removal part: positions of events, and the deletion of single ones.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::datetime::datetime;
use super::error::DuringOperation as _;
use super::identifiers::{Identifiers, STARTED};
use super::purge::{DOING, forget_open, refuse_undeletable};
use super::reader;
use super::row::id_of;
use super::sealing::removals::delete_seeds;
use super::sealing::tables;
use super::session::{bind_ids, marks, run};
use super::store::MysqlStore;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreError, StoreFuture};

impl Removal for MysqlStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = reader::list(&mut lease.db, &self.config.identifiers, query).await;
            lease.finish(result)
        })
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            if positions.is_empty() {
                return Ok(0);
            }
            let mut lease = self.admin_sessions.lease(&self.config, DOING).await?;
            let result = remove(&mut lease.db, &self.config.identifiers, positions).await;
            lease.finish(result)
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let started = self.config.identifiers.side_table(STARTED);
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let sql = format!("SELECT event_id FROM {started} WHERE event_id IN ({})", marks(ids.len()));
            let asked = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), ids).fetch_all(&mut *lease.db);
            let open = asked.await.during(DOING);
            let open = open.and_then(|rows| rows.iter().map(|row| id_of(row, 0, DOING)).collect());
            lease.finish(open)
        })
    }

    /// The server's purge thread frees the rows.
    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(before) = copies_before else { return Ok(()) };
            let mut lease = self.admin_sessions.lease(&self.config, DOING).await?;
            let result = forget_open(&mut lease.db, &self.config.identifiers, before).await;
            lease.finish(result)
        })
    }
}

/// Deletes the events and their seeds in one transaction.
async fn remove(db: &mut MySqlConnection, names: &Identifiers, positions: &[Cursor]) -> Result<u64, StoreError> {
    let is_sealed = tables::exist(db, names).await?;
    run(db, DOING, "BEGIN".to_owned()).await?;
    let there = there(db, names, positions).await?;
    if there.is_empty() {
        run(db, DOING, "ROLLBACK".to_owned()).await?;
        return Ok(0);
    }
    let sql = format!("DELETE FROM {} WHERE event_id IN ({})", names.table(), marks(there.len()));
    let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), &there);
    let deleted = query.execute(&mut *db).await.during(DOING)?.rows_affected();
    if is_sealed {
        // Those that another purge has deleted meanwhile have lost theirs as well.
        delete_seeds(db, names, &there).await?;
    }
    if deleted < there.len() as u64 {
        refuse_undeletable(db, names, &there).await?;
    }
    run(db, DOING, "COMMIT".to_owned()).await?;
    Ok(deleted)
}

/// Returns the events that are there at these times. An event never gets another time.
async fn there(
    db: &mut MySqlConnection,
    names: &Identifiers,
    positions: &[Cursor],
) -> Result<Vec<EventId>, StoreError> {
    let ids: Vec<EventId> = positions.iter().map(|position| position.event_id).collect();
    // The ids find the partitions and the rows by their key.
    let sql = format!(
        "SELECT event_id FROM {} WHERE event_id IN ({}) AND (event_id, created_at) IN ({})",
        names.table(),
        marks(ids.len()),
        vec!["(?,?)"; ids.len()].join(",")
    );
    let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), &ids);
    let query = positions.iter().fold(query, |query, position| {
        query.bind(position.event_id.to_bytes().to_vec()).bind(datetime(position.created_at))
    });
    let rows = query.fetch_all(db).await.during(DOING)?;
    rows.iter().map(|row| id_of(row, 0, DOING)).collect()
}
