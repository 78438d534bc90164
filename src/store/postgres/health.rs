//! The next event, as far as the commit: whatever would refuse it refuses this one.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::append::append;
use super::append_statements::{COMMIT_MARK, Statements};
use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::{DuringOperation as _, permanent};
use super::grants::Right;
use super::identifiers::STARTED;
use super::interfering_objects;
use super::privileges::explained;
use super::schema;
use super::session::{millis, run};
use super::session_driver::{Pool, WriterLease};
use crate::event::AuditEvent;
use crate::store::rehearsal::rehearsal;
use crate::store::{Durability, StoreError, StoreErrorKind};

/// A trial of all that the next event needs.
pub(super) struct HealthCheck<'a> {
    pub(super) sessions: &'a Pool,
    pub(super) config: &'a Config,
    pub(super) statements: &'a Statements,
    pub(super) writer_lease: &'a WriterLease,
    /// True while a commit waits, which may be for a replica.
    pub(super) is_committing: &'a AtomicBool,
}

impl HealthCheck<'_> {
    /// Inserts events as an append does, in a transaction that is rolled back; then commits one that leaves no row, all
    /// the way to the disk and to the replicas.
    ///
    /// It has a session of its own, so that no writer waits for it, and registers the writer: a write-ahead event needs
    /// its lock.
    pub(super) async fn run(&self) -> Result<(), StoreError> {
        let mut lease = self.sessions.lease(self.config, HEALTH).await?;
        let mut result = self.try_out(&mut lease.db).await;
        if result.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Denied) {
            run(&mut lease.db, HEALTH, "ROLLBACK".to_owned()).await?;
            result = explained(&mut lease.db, &self.config.identifiers, Right::Append, result).await;
        }
        lease.finish(result)
    }

    async fn try_out(&self, db: &mut PgConnection) -> Result<(), StoreError> {
        let names = &self.config.identifiers;
        let facts = DurabilitySettings::ask(db, names, HEALTH).await?;
        facts.check_writable(HEALTH)?;
        if self.config.durability == Durability::Required {
            // A commit that would not be durable is not tried: where a replica is missing, it might not end.
            facts.check_durable(HEALTH)?;
        }
        schema::require(db, names).await?;
        interfering_objects::refuse_side_effects(db, names, self.config.durability, HEALTH).await?;
        self.writer_lease.id().await?;
        // Early enough to say so: there are more statements than one.
        let lock_timeout = millis(self.config.timeout / 2);
        run(db, HEALTH, format!("BEGIN; SET LOCAL lock_timeout = {lock_timeout}")).await?;
        let [started, ended, plain] = rehearsal();
        append(db, names, self.statements, self.writer_lease, &started).await?;
        // Deferred constraints and triggers act here, and not at a commit.
        run(db, HEALTH, "SET CONSTRAINTS ALL IMMEDIATE".to_owned()).await?;
        self.expect(db, &started, 1).await?;
        append(db, names, self.statements, self.writer_lease, &ended).await?;
        append(db, names, self.statements, self.writer_lease, &plain).await?;
        self.expect(db, &[started, ended, plain].concat(), 0).await?;
        run(db, HEALTH, "ROLLBACK".to_owned()).await?;
        if !facts.can_mark_commits {
            // The next event needs no such commit; `doctor` names the right.
            return facts.check_durable(HEALTH);
        }
        self.is_committing.store(facts.has_replicas(), Ordering::Relaxed);
        sqlx::query(AssertSqlSafe(format!("SELECT {COMMIT_MARK}"))).fetch_all(db).await.during(HEALTH)?;
        self.is_committing.store(false, Ordering::Relaxed);
        facts.check_durable(HEALTH)
    }
}

impl HealthCheck<'_> {
    /// Reads events back, and counts those of them that are open: what was inserted may be gone before the commit.
    async fn expect(&self, db: &mut PgConnection, events: &[AuditEvent], open: i64) -> Result<(), StoreError> {
        let names = &self.config.identifiers;
        let ids: Vec<Uuid> = events.iter().map(|event| event.event_id.into()).collect();
        let sql = format!(
            "SELECT (SELECT pg_catalog.count(*) FROM {} WHERE event_id = ANY ($1)), \
             (SELECT pg_catalog.count(*) FROM {} WHERE event_id = ANY ($1))",
            names.table(),
            names.side_table(STARTED)
        );
        let found: (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).bind(&ids).fetch_one(db).await.during(HEALTH)?;
        if found == (i64::try_from(ids.len()).unwrap_or(i64::MAX), open) {
            return Ok(());
        }
        Err(permanent(HEALTH).with_hint(
            "inserted events are gone before the commit: a trigger or a rule on a table of the log deletes them; drop it",
        ))
    }
}

pub(super) const HEALTH: &str = "health";
