//! The next event, as far as the commit: whatever would refuse it refuses this one.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::access::explained;
use super::append::append;
use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::DuringOperation as _;
use super::grants::Right;
use super::pool::Pool;
use super::schema;
use super::session::{millis, run};
use super::statements::{COMMIT_MARK, Statements};
use super::writer_lease::WriterLease;
use crate::event::{Actor, AuditEvent, EventType, Phase};
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
        let mut done = self.try_out(&mut lease.db).await;
        if done.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Denied) {
            run(&mut lease.db, HEALTH, "ROLLBACK".to_owned()).await?;
            done = explained(&mut lease.db, &self.config.identifiers, Right::Append, done).await;
        }
        lease.finish(done)
    }

    async fn try_out(&self, db: &mut PgConnection) -> Result<(), StoreError> {
        let names = &self.config.identifiers;
        let facts = DurabilitySettings::ask(db, names, HEALTH).await?;
        facts.check_writable(HEALTH)?;
        if self.config.durability == Durability::Required {
            // What would not last is not tried: where a replica is missing, it might not end.
            facts.check_durable(HEALTH)?;
        }
        schema::require(db, names).await?;
        self.writer_lease.id().await?;
        // Early enough to say so: there are more statements than one.
        let lock_timeout = millis(self.config.timeout / 2);
        run(db, HEALTH, format!("BEGIN; SET LOCAL lock_timeout = {lock_timeout}")).await?;
        for events in rehearsal() {
            append(db, self.statements, self.writer_lease, &events).await?;
        }
        // What is put off until the commit comes now.
        run(db, HEALTH, "SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK".to_owned()).await?;
        self.is_committing.store(facts.has_replicas(), Ordering::Relaxed);
        sqlx::query(AssertSqlSafe(format!("SELECT {COMMIT_MARK}"))).fetch_all(db).await.during(HEALTH)?;
        self.is_committing.store(false, Ordering::Relaxed);
        facts.check_durable(HEALTH)
    }
}

/// What a request with a write-ahead rule appends, and one without, each as a batch of its own.
fn rehearsal() -> [Vec<AuditEvent>; 3] {
    let event = |event_type, phase, outcome| {
        let mut event = AuditEvent::new(event_type);
        event.phase = phase;
        event.outcome = outcome;
        event.actor = Actor::user("health@tower-audit.invalid");
        event.actor.remote_addr = Some("192.0.2.1".into());
        event.resource.route = Some("/health".into());
        event.resource.method = Some("GET".into());
        event
    };
    let started = event(EventType::ADMIN_ACTION, Phase::Started, None);
    let mut ended = event(EventType::ADMIN_ACTION, Phase::Completed, Some(200));
    ended.request.started_event_id = Some(started.event_id);
    let plain = event(EventType::UPLOAD, Phase::Completed, Some(200));
    [vec![started], vec![ended], vec![plain]]
}

pub(super) const HEALTH: &str = "health";
