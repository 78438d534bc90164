//! The store: a few sessions that write, a few that read, and one that keeps.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::time::Instant;

use super::append;
use super::append_statements::Statements;
use super::config::{Config, PostgresTable};
use super::diagnostics;
use super::durability::DurabilitySettings;
use super::error::NAME;
use super::grants::Right;
use super::health::{HEALTH, HealthCheck};
use super::indexes;
use super::partition;
use super::privileges::explained;
use super::purge::PurgePosition;
use super::schema;
use super::sealing::LateCommits;
use super::session::{millis, run, within_timeout};
use super::session_driver::{PgSessions, Pool, SessionObserver, WriterLease};
use super::table_identity::TableIdentity;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::sql::{SessionDriver as _, SessionKind, Wait};
use crate::store::{AuditStore, Capabilities, Diagnostic, Durability, OpenOptions, Parts, StoreError, StoreFuture};

/// Events in one table of a PostgreSQL server; see the documentation of the module.
///
/// # Cancel safety
/// A future of this store can be dropped. What the server is doing for it is cancelled, unless it is an append, and its
/// session stays in its place until the server has answered. Whether an append that was dropped is kept is not known;
/// appending it again is right in both cases.
///
/// # Sessions
/// At most 12 on the server, whatever hangs: 4 that append, 3 that read, and one each for health, for the writer's lock,
/// for the ends of transactions, for the tables, and for a look at those that do not answer.
pub struct PostgresStore {
    pub(super) config: Config,
    pub(super) statements: Statements,
    pub(super) writers: Pool,
    /// The one that tries out what the next append would meet.
    pub(super) probers: Pool,
    pub(super) readers: Pool,
    pub(super) admin_sessions: Pool,
    /// Sessions that ask for the end of transactions: readers must not keep them waiting.
    pub(super) status_sessions: Pool,
    /// The location of the table, once it was asked for.
    location: Mutex<Option<TableIdentity>>,
    pub(super) writer_lease: WriterLease,
    /// A health check has come as far as a commit that needs a replica.
    is_committing: AtomicBool,
    pub(super) purge_position: PurgePosition,
    /// The search for events without a leaf.
    pub(super) late_commits: LateCommits,
    /// The next time to create partitions; none for an account that may not.
    next_partition_check: Mutex<Option<Instant>>,
}

impl PostgresStore {
    /// Opens what a URL `postgres://…` or `postgresql://…` names.
    ///
    /// With [`OpenOptions::create_if_missing`], what is missing of the tables is made, if the role may do that, and the server is
    /// checked for what makes a commit durable. Without it nothing is made and nothing is written before the first
    /// append, and a standby can be opened to read it.
    ///
    /// # Errors
    /// If the URL is malformed, the server does not let us in, the tables are missing and are not to be made or may
    /// not be, they are of a newer version or of another application, or a commit would not be durable.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_in(Config::parse(url, options)?).await
    }

    /// Opens the log in the database of a pool that the app has: then a transaction of the app's can hold an effect and
    /// its event, and both are kept or neither.
    ///
    /// The log connects as the pool does (server, role, TLS), and as it is told to later on
    /// ([`set_connect_options`](sqlx::Pool::set_connect_options)), but takes none of its connections: handlers that hold
    /// all of them and wait for their events would wait for ever. What the pool does to a connection
    /// (`after_connect`) is not done to the log's, up to 12 of them.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use sqlx::postgres::PgPool;
    /// use tower_audit::AuditLog;
    /// use tower_audit::store::OpenOptions;
    /// use tower_audit::store::postgres::{PostgresStore, PostgresTable};
    ///
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = PgPool::connect("postgres://web@db/app").await?;
    /// let table = PostgresTable::default().schema("audit");
    /// let store = PostgresStore::from_pool(&pool, &table, OpenOptions::default()).await?;
    /// let log = AuditLog::builder().store(store).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open); and if the schema or the table has no possible name.
    pub async fn from_pool(pool: &PgPool, table: &PostgresTable, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_in(Config::of_pool(pool, table, options)?).await
    }

    async fn open_in(config: Config) -> Result<Self, StoreError> {
        let observer = SessionObserver::new(config.clone());
        let pool = |purpose, most| Pool::new(purpose, most, &observer);
        let store = Self {
            writers: pool(SessionKind::Append, PARALLEL_APPENDS),
            probers: pool(SessionKind::Append, MOST_PROBERS),
            readers: pool(SessionKind::Read, MAX_READERS),
            admin_sessions: pool(SessionKind::Admin, MAX_ADMIN_SESSIONS),
            status_sessions: pool(SessionKind::Read, MAX_STATUS_SESSIONS),
            location: Mutex::default(),
            writer_lease: WriterLease::new(config.clone(), &observer),
            is_committing: AtomicBool::new(false),
            purge_position: PurgePosition::default(),
            late_commits: LateCommits::default(),
            next_partition_check: Mutex::default(),
            statements: Statements::new(&config.identifiers, config.durability),
            config,
        };
        let opened = async {
            if !store.config.create_if_missing {
                return store.readers.first(&store.config).await?.finish(Ok(()));
            }
            store.provision().await?;
            // Both are needed as soon as a log is opened over this.
            store.probers.first(&store.config).await?.finish(Ok(()))?;
            store.writers.first(&store.config).await?.finish(Ok(()))
        };
        within_timeout(store.config.timeout.max(MIN_OPEN_TIMEOUT) * 4, OPENING, opened).await?;
        Ok(store)
    }

    /// Creates the missing parts, as far as this account may.
    async fn provision(&self) -> Result<(), StoreError> {
        let Config { identifiers: names, .. } = &self.config;
        let mut lease = self.admin_sessions.first(&self.config).await?;
        let db = &mut *lease.db;
        // Waits for a session that is changing the tables, but not for ever.
        run(db, OPENING, format!("SET lock_timeout = {}", millis(self.config.timeout))).await?;
        // A server on which nothing would be durable, or nothing can be made, is refused for that reason.
        let facts = DurabilitySettings::ask(db, names, OPENING).await?;
        facts.check_server(self.config.durability, OPENING)?;
        schema::provide(db, names).await?;
        if let Some(indexes) = indexes::Flaws::of(db, names).await?.text() {
            log_line(move || {
                tracing::warn!(
                    indexes,
                    "indexes of the audit log are missing: let its owner run `tower-audit migrate`"
                );
            });
        }
        if partition::may_create(db, names).await? {
            // Without them, events are in the default partition.
            if let Err(error) = partition::create_ahead(db, names).await {
                if error.is_transient() {
                    return Err(error);
                }
                log_line(move || {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the audit log has no partition for a month"
                    );
                });
            }
            *self.see_to_partitions() = Some(Instant::now() + PARTITION_CHECK_EVERY);
        }
        // It is needed an hour from now at the earliest.
        lease.close().await;
        Ok(())
    }

    pub(super) fn place(&self) -> std::sync::MutexGuard<'_, Option<TableIdentity>> {
        self.location.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_to_partitions(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.next_partition_check.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the URL.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("config", &self.config).finish_non_exhaustive()
    }
}

impl AuditStore for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: self.config.durability == Durability::Required,
            max_parallel_appends: PARALLEL_APPENDS,
            ..Capabilities::new(NAME)
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(self.writers.within(self.config.timeout, "append", async move {
            let mut lease = self.writers.lease(&self.config, "append").await?;
            let names = &self.config.identifiers;
            let result = append::append(&mut lease.db, names, &self.statements, &self.writer_lease, events).await;
            let result = explained(&mut lease.db, names, Right::Append, result).await;
            lease.finish(result)
        }))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.is_committing.store(false, Ordering::Relaxed);
            let check = HealthCheck {
                sessions: &self.probers,
                config: &self.config,
                statements: &self.statements,
                writer_lease: &self.writer_lease,
                is_committing: &self.is_committing,
            };
            // A little less: a caller with the same timeout is given the reason, too.
            let timeout = (self.config.timeout / 20 * 19).max(MIN_HEALTH_TIMEOUT);
            let result = self.probers.within(timeout, HEALTH, check.run()).await;
            match result {
                Err(error) if self.is_committing.load(Ordering::Relaxed) => {
                    Err(error.with_hint(PgSessions::reason(Wait::Replica)))
                }
                result => result,
            }
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(within_timeout(
            self.config.timeout,
            "inspecting the server",
            diagnostics::inspect(&self.readers, &self.config),
        ))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let now = Instant::now();
            {
                let mut due = self.see_to_partitions();
                if due.is_none_or(|due| now < due) {
                    return Ok(false);
                }
                *due = Some(now + PARTITION_CHECK_EVERY);
            }
            let making = self.admin_sessions.within(self.config.timeout, "making partitions", async {
                let mut lease = self.admin_sessions.lease(&self.config, "making partitions").await?;
                let result = partition::create_ahead(&mut lease.db, &self.config.identifiers).await;
                lease.finish(result)
            });
            making.await?;
            Ok(false)
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let left = self.writer_lease.unregister(&self.writers).await;
            for pool in [&self.writers, &self.probers, &self.readers, &self.status_sessions, &self.admin_sessions] {
                pool.close().await;
            }
            left
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            reader: Some(self),
            admin: Some(self),
            removal: Some(self),
            recovery: Some(self),
            transactional: Some(self),
            sealing: Some(self),
            erasure: Some(self),
        }
    }
}

const OPENING: &str = "opening the log";
/// With the session of the writer's lock and the observer's, at most 12 sessions: each purpose has its own, so that no
/// reader keeps a writer waiting.
const PARALLEL_APPENDS: usize = 4;
const MOST_PROBERS: usize = 1;
const MAX_READERS: usize = 3;
const MAX_STATUS_SESSIONS: usize = 1;
const MAX_ADMIN_SESSIONS: usize = 1;
/// The shortest timeout of a health check, which has more statements than an append.
const MIN_HEALTH_TIMEOUT: Duration = Duration::from_millis(900);
/// The shortest timeout of a step of opening: creating tables takes several.
const MIN_OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Partitions are made months ahead; an hour is soon enough, also for what stood in the way the last time.
const PARTITION_CHECK_EVERY: Duration = Duration::from_secs(3600);
