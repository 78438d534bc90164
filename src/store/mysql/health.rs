//! The next event, as far as the commit: whatever would refuse it refuses this one.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::append::{append_in, mark_commit};
use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::{DuringOperation as _, permanent};
use super::identifiers::STARTED;
use super::schema;
use super::session::{bind_ids, marks, run};
use super::session_driver::{Pool, WriterLease};
use crate::event::{AuditEvent, EventId};
use crate::store::rehearsal::rehearsal;
use crate::store::{Durability, StoreError};

/// A trial of all that the next event needs.
pub(super) struct HealthCheck<'a> {
    pub(super) sessions: &'a Pool,
    pub(super) config: &'a Config,
    pub(super) writer_lease: &'a WriterLease,
}

impl HealthCheck<'_> {
    /// Inserts events as an append does, in a transaction that is rolled back; then commits one that leaves no event, all
    /// the way to the disk.
    ///
    /// It has a session of its own, so that no writer waits for it, and registers the writer: a write-ahead event needs
    /// its lock.
    pub(super) async fn run(&self) -> Result<(), StoreError> {
        let mut lease = self.sessions.lease(self.config, HEALTH).await?;
        let result = self.try_out(&mut lease.db).await;
        lease.finish(result)
    }

    async fn try_out(&self, db: &mut MySqlConnection) -> Result<(), StoreError> {
        let names = &self.config.identifiers;
        let facts = DurabilitySettings::ask(db, names, HEALTH).await?;
        facts.check_usable()?;
        if self.config.durability == Durability::Required {
            facts.check_durable(HEALTH)?;
        }
        schema::require(db, names).await?;
        if let Some((trigger, table)) = schema::triggers(db, names, &schema::ALL).await?.first() {
            return Err(permanent(HEALTH).with_hint(format!(
                "the trigger {trigger} on the table {table} can change or discard events: drop it"
            )));
        }
        self.writer_lease.id().await?;
        run(db, HEALTH, "BEGIN".to_owned()).await?;
        let [started, ended, plain] = rehearsal();
        self.insert(db, &started).await?;
        self.expect(db, &started, 1).await?;
        self.insert(db, &ended).await?;
        self.insert(db, &plain).await?;
        self.expect(db, &[started, ended, plain].concat(), 0).await?;
        run(db, HEALTH, "ROLLBACK".to_owned()).await?;
        mark_commit(db, names).await.during(HEALTH)?;
        facts.check_durable(HEALTH)
    }

    async fn insert(&self, db: &mut MySqlConnection, events: &[AuditEvent]) -> Result<(), StoreError> {
        append_in(db, self.config, self.writer_lease, events, false).await
    }

    /// Counts the events that are there, and those of them that are open: what was inserted may be gone before the commit.
    async fn expect(&self, db: &mut MySqlConnection, events: &[AuditEvent], open: i64) -> Result<(), StoreError> {
        let names = &self.config.identifiers;
        let ids: Vec<EventId> = events.iter().map(|event| event.event_id).collect();
        for (table, expected) in
            [(names.table(), i64::try_from(ids.len()).unwrap_or(i64::MAX)), (names.side_table(STARTED), open)]
        {
            let sql = format!("SELECT COUNT(event_id) FROM {table} WHERE event_id IN ({})", marks(ids.len()));
            let row = bind_ids(sqlx::query(AssertSqlSafe(sql)), &ids).fetch_one(&mut *db).await.during(HEALTH)?;
            let found: i64 = sqlx::Row::try_get(&row, 0).during(HEALTH)?;
            if found != expected {
                return Err(permanent(HEALTH).with_hint(
                    "inserted events are gone before the commit: a trigger on a table of the log deletes them; drop it",
                ));
            }
        }
        Ok(())
    }
}

pub(super) const HEALTH: &str = "health";
