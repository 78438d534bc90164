//! The store: a few sessions that write, a few that read, and one that keeps.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::mysql::MySqlPool;
use tokio::time::Instant;

use super::append;
use super::config::{Config, MysqlTable};
use super::diagnostics;
use super::durability::DurabilitySettings;
use super::error::NAME;
use super::health::{HEALTH, HealthCheck};
use super::indexes;
use super::partition;
use super::schema;
use super::server_identity::ServerIdentity;
use super::session_driver::{Pool, SessionObserver, WriterLease};
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::sql::{SessionKind, Sweep, within_timeout};
use crate::store::{AuditStore, Capabilities, Diagnostic, Durability, OpenOptions, Parts, StoreError, StoreFuture};

/// Events in one table of a MariaDB or MySQL server; see the documentation of the module.
///
/// # Cancel safety
/// A future of this store can be dropped. What the server is doing for it is cancelled, unless it is an append, and its
/// session stays in its place until the server has answered or ended it. Whether an append that was dropped is kept is not known;
/// appending it again is right in both cases.
///
/// # Sessions
/// At most 12 on the server, whatever hangs: 4 that append, 3 that read, and one each for health, for the writer's lock,
/// for the ends of transactions, for the tables, and for a look at those that do not answer.
pub struct MysqlStore {
    pub(super) config: Config,
    pub(super) writers: Pool,
    /// The one that tries out what the next append would meet.
    pub(super) probers: Pool,
    pub(super) readers: Pool,
    pub(super) admin_sessions: Pool,
    /// Sessions that ask for the end of transactions: readers must not keep them waiting.
    pub(super) status_sessions: Pool,
    /// The server of the log, once it was asked for.
    server: Mutex<Option<ServerIdentity>>,
    pub(super) writer_lease: WriterLease,
    /// The knowledge about events that are committed late.
    pub(super) sweep: Sweep,
    /// The next time to create partitions; none for an account that may not.
    next_partition_check: Mutex<Option<Instant>>,
}

impl MysqlStore {
    /// Opens what a URL `mysql://…` or `mariadb://…` names.
    ///
    /// With [`OpenOptions::create_if_missing`], what is missing of the tables is made, if the account may do that, and the
    /// server is checked for what makes a commit durable. Without it nothing is made and nothing is written before the first
    /// append, and a replica can be opened to read it.
    ///
    /// # Errors
    /// If the URL is malformed, the server does not let us in or is too old, the tables are missing and are not to be made or
    /// may not be, they are of a newer version or of another application, or a commit would not be durable.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_in(Config::parse(url, options)?).await
    }

    /// Opens the log on the server of a pool that the app has: then a transaction of the app's can hold an effect and
    /// its event, and both are kept or neither.
    ///
    /// The log connects as the pool does (server, account, TLS), and as it is told to later on
    /// ([`set_connect_options`](sqlx::Pool::set_connect_options)), but takes none of its connections: handlers that hold
    /// all of them and wait for their events would wait for ever. What the pool does to a connection
    /// (`after_connect`) is not done to the log's, up to 12 of them.
    ///
    /// ```no_run
    /// use sqlx::mysql::MySqlPool;
    /// use tower_audit::AuditLog;
    /// use tower_audit::store::OpenOptions;
    /// use tower_audit::store::mysql::{MysqlStore, MysqlTable};
    ///
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = MySqlPool::connect("mysql://web@db/app").await?;
    /// let table = MysqlTable::default().database("audit");
    /// let store = MysqlStore::from_pool(&pool, &table, OpenOptions::default()).await?;
    /// let log = AuditLog::builder().store(store).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open); and if the database or the table has no possible name.
    pub async fn from_pool(pool: &MySqlPool, table: &MysqlTable, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_in(Config::of_pool(pool, table, options)?).await
    }

    async fn open_in(config: Config) -> Result<Self, StoreError> {
        let observer = SessionObserver::new(config.clone());
        let pool = |kind, most| Pool::new(kind, most, &observer);
        let store = Self {
            writers: pool(SessionKind::Append, PARALLEL_APPENDS),
            probers: pool(SessionKind::Append, MOST_PROBERS),
            readers: pool(SessionKind::Read, MAX_READERS),
            admin_sessions: pool(SessionKind::Admin, MAX_ADMIN_SESSIONS),
            status_sessions: pool(SessionKind::Read, MAX_STATUS_SESSIONS),
            server: Mutex::default(),
            writer_lease: WriterLease::new(config.clone(), &observer),
            sweep: Sweep::default(),
            next_partition_check: Mutex::default(),
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
        within_timeout(NAME, store.config.timeout.max(MIN_OPEN_TIMEOUT) * 4, OPENING, opened).await?;
        Ok(store)
    }

    /// Creates the missing parts, as far as this account may.
    async fn provision(&self) -> Result<(), StoreError> {
        let Config { identifiers: names, durability, facts, .. } = &self.config;
        let mut lease = self.admin_sessions.first(&self.config).await?;
        let db = &mut *lease.db;
        // A server on which nothing would be durable, or nothing can be made, is refused for that reason.
        let settings = DurabilitySettings::ask_server(db, OPENING).await?;
        if let Some(weakness) = settings.weakness() {
            log_line(move || tracing::warn!(weakness, "audit events may be lost"));
        }
        settings.check(*durability, OPENING)?;
        schema::provide(db, names, facts.is_mariadb()).await?;
        let missing: Vec<&str> = indexes::missing(db, names).await?.iter().map(|index| index.name).collect();
        if !missing.is_empty() {
            let indexes = missing.join(", ");
            log_line(move || {
                tracing::warn!(
                    indexes,
                    "indexes of the audit log are missing: let its owner run `tower-audit migrate`"
                );
            });
        }
        // Without them, events are in the partition for what comes later.
        match partition::create_ahead(db, names).await {
            Ok(true) => *self.partition_check() = Some(Instant::now() + PARTITION_CHECK_EVERY),
            Ok(false) => {}
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => log_line(move || {
                tracing::warn!(error = &error as &dyn std::error::Error, "the audit log has no partition for a month");
            }),
        }
        // It is needed an hour from now at the earliest.
        lease.close().await;
        Ok(())
    }

    pub(super) fn known_server(&self) -> MutexGuard<'_, Option<ServerIdentity>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition_check(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next_partition_check.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the URL.
impl fmt::Debug for MysqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlStore").field("config", &self.config).finish_non_exhaustive()
    }
}

impl AuditStore for MysqlStore {
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
            let result = append::append(&mut lease.db, &self.config, &self.writer_lease, events).await;
            lease.finish(result)
        }))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let check = HealthCheck { sessions: &self.probers, config: &self.config, writer_lease: &self.writer_lease };
            // A little less: a caller with the same timeout is given the reason, too.
            let timeout = (self.config.timeout / 20 * 19).max(MIN_HEALTH_TIMEOUT);
            self.probers.within(timeout, HEALTH, check.run()).await
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(within_timeout(
            NAME,
            self.config.timeout,
            "inspecting the server",
            diagnostics::inspect(&self.readers, &self.config),
        ))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let now = Instant::now();
            {
                let mut due = self.partition_check();
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
