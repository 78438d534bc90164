//! The store: a few sessions that write, a few that read, and one that keeps.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use tokio::time::Instant;

use super::append;
use super::config::{Config, PostgresTable};
use super::connection::{Purpose, connect, within};
use super::durability::Facts;
use super::error::{Doing as _, NAME};
use super::in_transaction::Place;
use super::indexes;
use super::inspect;
use super::instance::Instance;
use super::names::PROBE;
use super::partition;
use super::pool::Pool;
use super::purge::Front;
use super::roles::{self, Right};
use super::schema;
use crate::event::AuditEvent;
use crate::store::{
    AuditStore, Capabilities, Durability, Finding, InTransaction, Keeper, OpenOptions, Orphans, Reader, StoreError,
    StoreErrorKind, StoreFuture,
};

/// Events in one table of a PostgreSQL server; see the documentation of the module.
///
/// # Cancel safety
/// A future of this store that is dropped takes the session it worked on with it. Whether an append that was dropped
/// is kept is not known; appending it again is right in both cases.
pub struct PostgresStore {
    pub(super) config: Config,
    pub(super) writers: Pool,
    pub(super) readers: Pool,
    pub(super) keepers: Pool,
    /// Those that ask for the end of transactions: whoever reads a lot must not keep them waiting.
    pub(super) askers: Pool,
    /// Where the log is, once somebody has asked.
    place: Mutex<Option<Place>>,
    pub(super) instance: Instance,
    pub(super) front: Front,
    /// When to see to the partitions of the months to come; none for a role that may not make them.
    see_to_partitions: Mutex<Option<Instant>>,
}

impl PostgresStore {
    /// Opens what a URL `postgres://…` or `postgresql://…` names.
    ///
    /// With [`OpenOptions::create`], what is missing of the tables is made, if the role may do that, and the server is
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
    /// (`after_connect`) is not done to the log's, up to 13 of them.
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
    /// let table = PostgresTable::default().in_schema("audit");
    /// let store = PostgresStore::from_pool(&pool, &table, OpenOptions::default()).await?;
    /// let log = AuditLog::with_store(Arc::new(store)).open().await?;
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
        let store = Self {
            writers: Pool::new(Purpose::Append, PARALLEL_APPENDS),
            readers: Pool::new(Purpose::Read, MOST_READERS),
            keepers: Pool::new(Purpose::Keep, MOST_KEEPERS),
            askers: Pool::new(Purpose::Read, MOST_ASKERS),
            place: Mutex::default(),
            instance: Instance::new(config.clone()),
            front: Front::default(),
            see_to_partitions: Mutex::default(),
            config,
        };
        if store.config.create {
            store.provision().await?;
            store.writers.put(connect(&store.config, Purpose::Append).await?);
        } else {
            store.readers.put(connect(&store.config, Purpose::Read).await?);
        }
        Ok(store)
    }

    /// Makes what is missing, as far as this role may.
    async fn provision(&self) -> Result<(), StoreError> {
        let Config { names, .. } = &self.config;
        let mut db = connect(&self.config, Purpose::Keep).await?;
        // A server on which nothing would be durable, or nothing can be made, is refused for that reason.
        let facts = Facts::ask(&mut db, names, "opening the log").await?;
        facts.judge_server(self.config.durability, "opening the log")?;
        schema::provide(&mut db, names).await?;
        if let Some(indexes) = indexes::Flaws::of(&mut db, names).await?.text() {
            tracing::warn!(indexes, "the audit log has not its indexes: let its owner run `tower-audit migrate`");
        }
        if partition::may_make(&mut db, names).await? {
            // Without them, events are in the default partition.
            if let Err(error) = partition::make_ahead(&mut db, names).await {
                if error.is_transient() {
                    return Err(error);
                }
                tracing::warn!(error = &error as &dyn std::error::Error, "the audit log has no partition for a month");
            }
            *self.see_to_partitions() = Some(Instant::now() + SEE_TO_PARTITIONS);
        }
        self.keepers.put(db);
        Ok(())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let names = &self.config.names;
        let mut lease = self.writers.lease(&self.config, HEALTH).await?;
        let done = async {
            let facts = Facts::ask(&mut lease.db, names, HEALTH).await?;
            facts.judge_use(HEALTH)?;
            if self.config.durability == Durability::Required {
                // What would not last is not tried: where a replica is missing, it might not end.
                facts.judge_durability(HEALTH)?;
            }
            schema::require(&mut lease.db, names).await?;
            let may: Option<bool> = sqlx::query_scalar("SELECT pg_catalog.has_table_privilege($1, 'INSERT')")
                .bind(names.table())
                .fetch_one(&mut lease.db)
                .await
                .doing(HEALTH)?;
            if may != Some(true) {
                let error = StoreError::new(StoreErrorKind::Denied, NAME, HEALTH);
                return Err(roles::explain(&mut lease.db, names, Right::Append, error).await);
            }
            // A commit that leaves nothing behind: it goes all the way to the disk, and to the replicas.
            let sql = format!(
                "INSERT INTO {} AS p VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET times = p.times + 1",
                names.beside(PROBE)
            );
            sqlx::query(AssertSqlSafe(sql)).execute(&mut lease.db).await.doing(HEALTH)?;
            facts.judge_durability(HEALTH)
        };
        let done = done.await;
        lease.settle(done)
    }

    pub(super) fn place(&self) -> std::sync::MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_to_partitions(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.see_to_partitions.lock().unwrap_or_else(PoisonError::into_inner)
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
            readable: true,
            purgeable: true,
            orphans: true,
            parallel_appends: PARALLEL_APPENDS,
            ..Capabilities::sink(NAME)
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(within(self.config.patience, "append", async move {
            let mut lease = self.writers.lease(&self.config, "append").await?;
            let done = append::append(&mut lease.db, &self.config.names, &self.instance, events).await;
            lease.settle(done)
        }))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(within(self.config.patience, HEALTH, self.probe()))
    }

    fn inspect(&self) -> StoreFuture<'_, Vec<Finding>> {
        Box::pin(within(self.config.patience, "inspecting the server", inspect::inspect(self)))
    }

    fn tidy(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let now = Instant::now();
            {
                let mut due = self.see_to_partitions();
                if due.is_none_or(|due| now < due) {
                    return Ok(false);
                }
                *due = Some(now + SEE_TO_PARTITIONS);
            }
            within(self.config.patience, "making partitions", async {
                let mut lease = self.keepers.lease(&self.config, "making partitions").await?;
                let done = partition::make_ahead(&mut lease.db, &self.config.names).await;
                lease.settle(done)
            })
            .await?;
            Ok(false)
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.writers.close().await;
            let left = within(self.config.patience, "close", self.instance.leave()).await;
            self.readers.close().await;
            self.askers.close().await;
            self.keepers.close().await;
            left
        })
    }

    fn reader(&self) -> Option<&dyn Reader> {
        Some(self)
    }

    fn keeper(&self) -> Option<&dyn Keeper> {
        Some(self)
    }

    fn orphans(&self) -> Option<&dyn Orphans> {
        Some(self)
    }

    fn in_transaction(&self) -> Option<&dyn InTransaction> {
        Some(self)
    }
}

const HEALTH: &str = "health";
const PARALLEL_APPENDS: usize = 4;
const MOST_READERS: usize = 4;
const MOST_ASKERS: usize = 2;
const MOST_KEEPERS: usize = 2;
/// Partitions are made months ahead; an hour is soon enough, also for what stood in the way the last time.
const SEE_TO_PARTITIONS: Duration = Duration::from_secs(3600);
