//! The store: one connection that writes, a few that read.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::SqlitePool;
use tokio::sync::{Mutex, MutexGuard};

use super::config::Config;
use super::connection::{Connection, closed, probe, while_in_use};
use super::error::{Doing as _, NAME};
use super::instance::Instance;
use super::reader::Readers;
use super::{append, inspect, mover, orphans};
use crate::event::AuditEvent;
use crate::store::{
    AuditStore, Capabilities, Finding, InTransaction, Keeper, OpenOptions, Orphans, Reader, StoreError, StoreFuture,
};

/// Events in one SQLite file; see the documentation of the module.
///
/// # Cancel safety
/// A future of this store that is dropped takes the connection it worked on with it: SQLite rolls back what was not
/// committed, and the next call opens another. Whether an append that was dropped is kept is not known; appending
/// it again is right in both cases.
pub struct SqliteStore {
    pub(super) config: Config,
    writer: Mutex<Writer>,
    pub(super) readers: Readers,
    /// Those that ask for the fate of an event: whoever reads a lot must not keep them waiting.
    pub(super) askers: Readers,
    /// How many events transactions of the app's were given since the journal was last looked at.
    pub(super) elsewhere: AtomicUsize,
}

struct Writer {
    connection: Option<Connection>,
    instance: Instance,
    closed: bool,
}

impl SqliteStore {
    /// Opens what stands behind `sqlite:` in a URL.
    ///
    /// Without [`OpenOptions::create`], nothing is made and nothing is written before the first append.
    ///
    /// # Errors
    /// If the path cannot be one, the file is not there and not to be made, it is no log of this version, or it
    /// cannot be written durably.
    pub async fn open(rest: &str, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_in(Config::parse(rest, options)?).await
    }

    /// Opens the log in the database of a pool that the app has, beside the app's own tables: then a transaction of
    /// the app's can hold an effect and its event, and both are kept or neither. With [`OpenOptions::create`], the log's
    /// tables, whose names begin with `audit_`, are made if they are not there, and the file's journal becomes a
    /// write-ahead log.
    ///
    /// The pool is asked for the name of its file. The log opens connections of its own and never waits for one of
    /// the pool's. No connection to the file may have `synchronous=OFF`, not even one that has nothing to do with the
    /// log: what it copies from the write-ahead log into the file, it does not sync.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use sqlx::SqlitePool;
    /// use sqlx::sqlite::SqliteConnectOptions;
    /// use tower_audit::AuditLog;
    /// use tower_audit::store::OpenOptions;
    /// use tower_audit::store::sqlite::SqliteStore;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(path).create_if_missing(true)).await?;
    /// sqlx::query("CREATE TABLE users (name TEXT PRIMARY KEY)").execute(&pool).await?;
    /// let store = SqliteStore::from_pool(&pool, OpenOptions::default()).await?;
    /// let log = AuditLog::with_store(Arc::new(store)).open().await?;
    /// # log.close().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the pool has no connection to give, its database is in memory, it has tables of the names that the log needs,
    /// or it cannot be written durably.
    pub async fn from_pool(pool: &SqlitePool, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_in(Config::of_pool(pool, options).await?).await
    }

    async fn open_in(config: Config) -> Result<Self, StoreError> {
        let connection = if config.create { Some(Connection::open(&config).await?) } else { None };
        let store = Self {
            readers: Readers::new(),
            askers: Readers::new(),
            elsewhere: AtomicUsize::new(0),
            writer: Mutex::new(Writer { connection, instance: Instance::new(), closed: false }),
            config,
        };
        if !store.config.create {
            let reader = store.readers.take(&store.config).await?;
            store.readers.finish(reader, Ok(())).await?;
        }
        Ok(store)
    }

    /// The writing connection, for one task. It is lost if it is not given back.
    pub(super) async fn lease(&self, doing: &'static str) -> Result<Lease<'_>, StoreError> {
        let mut writer = self.writer.lock().await;
        if writer.closed {
            return Err(closed(doing));
        }
        let connection = match writer.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.config).await.map_err(while_in_use)?,
        };
        Ok(Lease { writer, readers: &self.readers, askers: &self.askers, connection })
    }
}

/// Without the path, which is the URL.
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("create", &self.config.create).finish_non_exhaustive()
    }
}

/// The writing connection, taken out of the store: whoever does not [settle](Self::settle) has lost it, and with it
/// whatever it left half done.
pub(super) struct Lease<'a> {
    writer: MutexGuard<'a, Writer>,
    readers: &'a Readers,
    askers: &'a Readers,
    pub(super) connection: Connection,
}

impl Lease<'_> {
    /// The connection and who writes through it.
    pub(super) fn parts(&mut self) -> (&mut Connection, &mut Instance) {
        (&mut self.connection, &mut self.writer.instance)
    }

    /// Gives the connection back if all went well and the files are still those it has open.
    pub(super) async fn settle<T>(mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        let done = done?;
        if let Err(error) = self.connection.db.identity.check() {
            // If only the write-ahead log was removed, what is in it is saved by closing, before anything is opened.
            self.readers.close_idle().await;
            self.askers.close_idle().await;
            let _ = self.connection.db.close().await;
            return Err(error);
        }
        self.writer.connection = Some(self.connection);
        Ok(done)
    }
}

impl AuditStore for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, readable: true, purgeable: true, orphans: true, ..Capabilities::sink(NAME) }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut lease = self.lease("append").await?;
            let (connection, instance) = lease.parts();
            let done = append::append(connection, instance, events).await;
            lease.settle(done).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("health").await?;
            let done = probe(&mut lease.connection.db, "health").await;
            let done = done.and_then(|()| lease.connection.db.identity.check_writable());
            lease.settle(done).await
        })
    }

    fn inspect(&self) -> StoreFuture<'_, Vec<Finding>> {
        Box::pin(inspect::inspect(self))
    }

    fn tidy(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let elsewhere = self.elsewhere.load(Ordering::Relaxed);
            let has_work = match &*self.writer.lock().await {
                Writer { closed: true, .. } => false,
                Writer { connection: Some(connection), .. } => mover::has_work(connection, elsewhere),
                // Nothing is opened for less than that: who does not write leaves no work behind.
                _ => elsewhere >= mover::TIDY_FROM_EVENTS,
            };
            if !has_work {
                return Ok(false);
            }
            let elsewhere = self.elsewhere.swap(0, Ordering::Relaxed);
            let mut lease = self.lease("indexing").await?;
            let done = mover::tidy(&mut lease.connection, elsewhere).await;
            let done = lease.settle(done).await;
            if done.is_err() {
                self.elsewhere.fetch_add(elsewhere, Ordering::Relaxed);
            }
            done
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer.lock().await;
            writer.closed = true;
            self.readers.close().await;
            self.askers.close().await;
            let Some(mut connection) = writer.connection.take() else {
                // The lock goes; whoever opens the file next finds this writer dead.
                writer.instance = Instance::new();
                return Ok(());
            };
            let left = orphans::leave(&mut connection, &mut writer.instance).await;
            // The last connection to go copies the write-ahead log into the database.
            connection.db.close().await.doing("close")?;
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
