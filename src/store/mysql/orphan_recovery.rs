//! Closing the `started` events of writers that died.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::append::append_in;
use super::error::DuringOperation as _;
use super::identifiers::{STARTED, WRITERS};
use super::row::id_of;
use super::session::run;
use super::session_driver::MysqlSessions;
use super::store::MysqlStore;
use super::writer_locks::{IS_FREE, delete_writer};
use crate::event::AuditEvent;
use crate::store::sql::{SuspectWriter, WriterLocks as _, dead_writers, started_event};
use crate::store::{OrphanRecovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl OrphanRecovery for MysqlStore {
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

impl MysqlStore {
    /// The writers with open events that have left, or whose locks are free. Deletes those without open events.
    async fn suspect_writers(&self) -> Result<Vec<SuspectWriter>, StoreError> {
        let mut lease = self.writers.lease(&self.config, DOING).await?;
        let result = self.suspects(&mut lease.db).await;
        lease.finish(result)
    }

    async fn suspects(&self, db: &mut MySqlConnection) -> Result<Vec<SuspectWriter>, StoreError> {
        let names = &self.config.identifiers;
        let (started, writers) = (names.side_table(STARTED), names.side_table(WRITERS));
        let sql = format!(
            "SELECT w.id, w.retaken, w.has_left <> 0, EXISTS (SELECT 1 FROM {started} s WHERE s.writer = w.id) \
             FROM {writers} w WHERE w.has_left <> 0 OR {IS_FREE} ORDER BY w.id"
        );
        let rows: Vec<(i64, i64, i64, i64)> =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut *db).await.during(DOING)?;
        let mut suspects = Vec::new();
        for (id, retaken, has_left, has_open) in rows {
            if has_open != 0 {
                suspects.push(SuspectWriter { id, retaken, has_left: has_left != 0 });
            } else {
                // If it lives, it registers again under another number before it starts anything.
                delete_writer(db, &self.config, id, DOING).await?;
            }
        }
        Ok(suspects)
    }

    /// Closes a dead writer's open events and deletes its row, in one transaction that locks the row: of two that race, the
    /// second finds nothing, and a writer that still lives starts nothing until the transaction ends.
    async fn close_writer(
        &self,
        db: &mut MySqlConnection,
        suspect: SuspectWriter,
        close: UnknownEventFn<'_>,
    ) -> Result<u64, StoreError> {
        let SuspectWriter { id, has_left, .. } = suspect;
        // Held from before the transaction until after its end: a writer that lives takes it in vain meanwhile.
        if !MysqlSessions::try_lock(db, id).await? && !has_left {
            return Ok(0);
        }
        let closed = self.close_locked(db, id, close).await;
        if closed.is_err() {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
        }
        MysqlSessions::unlock(db, id).await?;
        closed
    }

    async fn close_locked(
        &self,
        db: &mut MySqlConnection,
        id: i64,
        close: UnknownEventFn<'_>,
    ) -> Result<u64, StoreError> {
        let names = &self.config.identifiers;
        let (started, writers) = (names.side_table(STARTED), names.side_table(WRITERS));
        run(db, DOING, "BEGIN".to_owned()).await?;
        let sql = format!("SELECT id FROM {writers} WHERE id = ? FOR UPDATE SKIP LOCKED");
        let row: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *db).await.during(DOING)?;
        if row.is_none() {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
            return Ok(0);
        }
        let sql = format!("SELECT event_id, event FROM {started} WHERE writer = ?");
        let left = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_all(&mut *db).await.during(DOING)?;
        let mut ends = Vec::with_capacity(left.len());
        for row in &left {
            let text: &str = row.try_get(1).during(DOING)?;
            ends.push(close(&started_event(id_of(row, 0, DOING)?, text)));
        }
        for some in ends.chunks(EVENTS_AT_ONCE) {
            append_in(db, &self.config, &self.writer_lease, some, false).await?;
        }
        // The ends may not name what they end.
        for sql in [format!("DELETE FROM {started} WHERE writer = ?"), format!("DELETE FROM {writers} WHERE id = ?")] {
            sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(DOING)?;
        }
        run(db, DOING, "COMMIT".to_owned()).await?;
        Ok(ends.len() as u64)
    }
}

const DOING: &str = "closing orphans";
/// The number of events in one statement.
const EVENTS_AT_ONCE: usize = 1024;
