//! Closing the `started` events of writers that died.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::append::append;
use super::error::{DuringOperation as _, FOREIGN_KEY_VIOLATION, from_driver, has_code};
use super::identifiers::{Identifiers, STARTED, WRITERS};
use super::session::run;
use super::store::PostgresStore;
use super::writer_locks::IS_FREE;
use crate::event::AuditEvent;
use crate::store::sql::{SuspectWriter, dead_writers, started_event};
use crate::store::{OrphanRecovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl OrphanRecovery for PostgresStore {
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut closed = 0;
            for suspect in dead_writers(|| self.suspect_writers()).await? {
                let mut lease = self.writers.lease(&self.config, DOING).await?;
                let result = self.close_writer(&mut lease.db, suspect, close).await;
                closed += lease.finish(result)?;
            }
            Ok(closed)
        })
    }
}

impl PostgresStore {
    /// The writers with open events that have left, or whose locks are free. Deletes those without open events.
    async fn suspect_writers(&self) -> Result<Vec<SuspectWriter>, StoreError> {
        let mut lease = self.writers.lease(&self.config, DOING).await?;
        let result = suspects(&mut lease.db, &self.config.identifiers).await;
        lease.finish(result)
    }

    /// Closes a dead writer's open events and deletes its row, in one transaction that locks the row: of two that race, the
    /// second finds nothing, and a writer that still lives starts nothing until the transaction ends.
    async fn close_writer(
        &self,
        db: &mut PgConnection,
        suspect: SuspectWriter,
        close: UnknownEventFn<'_>,
    ) -> Result<u64, StoreError> {
        let (started, writers) =
            (self.config.identifiers.side_table(STARTED), self.config.identifiers.side_table(WRITERS));
        let SuspectWriter { id, has_left, .. } = suspect;
        run(db, DOING, "BEGIN".to_owned()).await?;
        let sql = format!(
            "SELECT $2 OR pg_catalog.pg_try_advisory_xact_lock(w.id) FROM {writers} w WHERE w.id = $1 \
             FOR UPDATE SKIP LOCKED"
        );
        let is_dead: Option<bool> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id)
            .bind(has_left)
            .fetch_optional(&mut *db)
            .await
            .during(DOING)?;
        if is_dead != Some(true) {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
            return Ok(0);
        }
        let sql = format!("SELECT event_id, event FROM {started} WHERE writer = $1");
        let left: Vec<(Uuid, String)> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_all(&mut *db).await.during(DOING)?;
        let ends: Vec<AuditEvent> = left.iter().map(|(id, event)| close(&started_event((*id).into(), event))).collect();
        for some in ends.chunks(EVENTS_AT_ONCE) {
            append(db, &self.config.identifiers, &self.statements, &self.writer_lease, some).await?;
        }
        // The ends may not name what they end.
        for sql in [format!("DELETE FROM {started} WHERE writer = $1"), format!("DELETE FROM {writers} WHERE id = $1")]
        {
            sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(DOING)?;
        }
        run(db, DOING, "COMMIT".to_owned()).await?;
        Ok(ends.len() as u64)
    }
}

async fn suspects(db: &mut PgConnection, names: &Identifiers) -> Result<Vec<SuspectWriter>, StoreError> {
    let (started, writers) = (names.side_table(STARTED), names.side_table(WRITERS));
    let sql = format!(
        "SELECT w.id, w.retaken, w.has_left, EXISTS (SELECT FROM {started} s WHERE s.writer = w.id) \
         FROM {writers} w WHERE w.has_left OR {IS_FREE} ORDER BY w.id"
    );
    let rows: Vec<(i64, i64, bool, bool)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut *db).await.during(DOING)?;
    let mut suspects = Vec::new();
    for (id, retaken, has_left, has_open) in rows {
        if has_open {
            suspects.push(SuspectWriter { id, retaken, has_left });
            continue;
        }
        // If it lives, it registers again under another number before it starts anything.
        let sql = format!("DELETE FROM {writers} WHERE id = $1");
        match sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await {
            Ok(_) => {}
            Err(error) if has_code(&error, FOREIGN_KEY_VIOLATION) => {}
            Err(error) => return Err(from_driver(DOING, error)),
        }
    }
    Ok(suspects)
}

const DOING: &str = "closing orphans";
/// The number of events in one statement.
const EVENTS_AT_ONCE: usize = 1024;
