//! The removal part: positions of events, and the deletion of single ones.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::{DuringOperation as _, FOREIGN_KEY_VIOLATION, cause, has_code};
use super::grants::Right;
use super::identifiers::{Identifiers, LEAVES, STARTED};
use super::interfering_objects;
use super::privileges::explained;
use super::purge::{forget_open, refuse_undeletable, undeletable};
use super::reader;
use super::sealing::tables;
use super::session::only;
use super::store::PostgresStore;
use super::timestamptz::Timestamptz;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreError, StoreFuture};

impl Removal for PostgresStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move {
            if query.limit == 0 {
                return Ok(Vec::new());
            }
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let result = reader::list(&mut lease.db, &self.config.identifiers, query).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Purge, result).await;
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
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Purge, result).await;
            lease.finish(result)
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            let names = &self.config.identifiers;
            let mut lease = self.readers.lease(&self.config, DOING).await?;
            let sql = format!("SELECT event_id FROM {} WHERE event_id = ANY ($1)", names.side_table(STARTED));
            let open = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(ids.iter().map(|id| Uuid::from(*id)).collect::<Vec<_>>())
                .fetch_all(&mut *lease.db)
                .await
                .during(DOING);
            let open: Result<Vec<Uuid>, StoreError> = explained(&mut lease.db, names, Right::Purge, open).await;
            Ok(lease.finish(open)?.into_iter().map(EventId::from).collect())
        })
    }

    /// The server's vacuum frees the rows.
    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(before) = copies_before else { return Ok(()) };
            let mut lease = self.admin_sessions.lease(&self.config, DOING).await?;
            let result = forget_open(&mut lease.db, &self.config.identifiers, before).await;
            let result = explained(&mut lease.db, &self.config.identifiers, Right::Purge, result).await;
            lease.finish(result)
        })
    }
}

async fn remove(db: &mut PgConnection, names: &Identifiers, positions: &[Cursor]) -> Result<u64, StoreError> {
    let ids: Vec<Uuid> = positions.iter().map(|position| position.event_id.into()).collect();
    let times: Vec<Timestamptz> = positions.iter().map(|position| Timestamptz(position.created_at)).collect();
    // The array finds the partitions and the rows by their key. The times are compared as a listing shows them.
    let there = format!(
        "{} AS e WHERE e.event_id = ANY ($1) AND EXISTS (\
            SELECT FROM ROWS FROM (pg_catalog.unnest($1::uuid[]), pg_catalog.unnest($2::timestamptz[])) AS p(id, at) \
            WHERE p.id = e.event_id AND p.at = LEAST(GREATEST(e.created_at, '0001-01-01 00:00:00+00'::timestamptz), \
                '9999-12-31 23:59:59.999999+00'::timestamptz))",
        names.table()
    );
    // The seed goes in the statement that deletes its event.
    let seeds = match tables::exist(db, names).await? {
        true => format!(
            ", blank AS (UPDATE {} AS l SET seed = ''::bytea FROM gone g WHERE l.event_id = g.event_id)",
            names.side_table(LEAVES)
        ),
        false => String::new(),
    };
    let sql = format!("WITH gone AS (DELETE FROM {there} RETURNING e.event_id){seeds} SELECT count(*) FROM gone");
    let rows: Vec<i64> = match sqlx::query_scalar(AssertSqlSafe(sql)).bind(&ids).bind(&times).fetch_all(&mut *db).await
    {
        Err(error) if has_code(&error, FOREIGN_KEY_VIOLATION) => {
            let causes = interfering_objects::find_references(db, names, DOING).await?;
            return Err(undeletable(&causes).with_source(cause(error)));
        }
        rows => rows.during(DOING)?,
    };
    let deleted = only(rows, DOING)?.cast_unsigned();
    if deleted < positions.len() as u64 {
        // Deleted by another meanwhile, or kept by a trigger.
        let sql = format!("SELECT e.event_id FROM {there} LIMIT 1");
        let left: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(&ids)
            .bind(&times)
            .fetch_optional(&mut *db)
            .await
            .during(DOING)?;
        if let Some(left) = left {
            refuse_undeletable(db, names, left).await?;
        }
    }
    Ok(deleted)
}

const DOING: &str = "purge";
