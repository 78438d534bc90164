//! The store: one connection that writes, a few that read.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use sqlx::SqlitePool;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::checkpoint;
use super::config::Config;
use super::corruption_latch::CorruptionLatch;
use super::database_file::check_modes;
use super::diagnostics;
use super::error::{NAME, as_transient, closed_error, config, transient};
use super::file_identity::{FileIdentity, check_only_name, removed_log_error, replaced_error};
use super::journal::append;
use super::journal::bounded_append;
use super::journal::compaction::{self, Step};
use super::liveness_lock::{LivenessLock, unregister_writer};
use super::open_counts::{self, OpenCounts};
use super::open_descriptors::count_open;
use super::parked_connections::ParkedConnections;
use super::read_pool::ReadPool;
use super::segments::value_index::MergedParts;
use super::store_registry;
use super::wal_file::WalFile;
use super::write_connection::{WriteConnection, resets_logs_wrongly};
use super::write_lease::WriteLease;
use super::writer::Writer;
use super::writer_state::{UNCHECKED, WriterState};
use crate::event::{AuditEvent, EventType};
use crate::store::url_parameters::after_scheme;
use crate::store::{AuditStore, Capabilities, Diagnostic, OpenOptions, Parts, StoreError, StoreErrorKind, StoreFuture};

/// Events in one SQLite file; see the documentation of the module.
///
/// # Cancel safety
/// A dropped future closes its connection: SQLite rolls back an open transaction, and the next call opens another. A dropped
/// append may have been committed; appending the events again is right in both cases.
pub struct SqliteStore {
    pub(super) config: Config,
    writer: Arc<Mutex<Writer>>,
    /// Held by the maintenance that is under way.
    pub(super) maintaining: Mutex<()>,
    pub(super) readers: Arc<ReadPool>,
    /// Connections for the status of transactional events, so that long reads do not delay it.
    pub(super) status_readers: Arc<ReadPool>,
    /// The number of transactional events since the last look at the journal.
    pub(super) transactional_events: AtomicUsize,
    /// SQLite's number of the schema in which a transactional event last met no trigger.
    pub(super) checked_schema: AtomicI64,
    damage: Arc<CorruptionLatch>,
    pub(super) parking: Arc<ParkedConnections>,
    /// The files of the last connection that wrote. The app's own connections must have the same open.
    files: std::sync::Mutex<Option<FileIdentity>>,
}

impl SqliteStore {
    /// Opens the log that a URL `sqlite:PATH` names.
    ///
    /// Without [`OpenOptions::create_if_missing`], nothing is made and nothing is written before the first append.
    ///
    /// # Errors
    /// If the URL has another scheme, the path cannot be one, the file is not there and not to be made, it is no log of this version, or it
    /// cannot be written durably.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let rest = after_scheme(url, NAME).ok_or_else(|| config("expected `sqlite:PATH`"))?;
        Self::open_in(Config::parse(rest, options)?).await
    }

    /// Opens the log in the database of a pool that the app has, beside the app's own tables: then a transaction of
    /// the app's can hold an effect and its event, and both are kept or neither. With [`OpenOptions::create_if_missing`], the log's
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
    /// let log = AuditLog::builder().store(store).open().await?;
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

    pub(super) async fn open_in(config: Config) -> Result<Self, StoreError> {
        let (damage, parking) = (Arc::<CorruptionLatch>::default(), Arc::<ParkedConnections>::default());
        let state =
            if config.create_if_missing { Some(WriterState::open(&config, &parking, true).await?) } else { None };
        let last = state.as_ref().map(|state| state.connection.db.identity.clone());
        let store = Self {
            files: std::sync::Mutex::new(last.clone()),
            readers: Arc::new(ReadPool::new(&damage)),
            status_readers: Arc::new(ReadPool::new(&damage)),
            transactional_events: AtomicUsize::new(0),
            checked_schema: AtomicI64::new(UNCHECKED),
            writer: Arc::new(Mutex::new(Writer {
                last,
                state,
                checkpointer: None,
                lock: LivenessLock::new(),
                closed: false,
            })),
            maintaining: Mutex::new(()),
            config,
            damage,
            parking,
        };
        store_registry::add(&store.config, &store.writer, [&store.readers, &store.status_readers], &store.parking);
        if !store.config.create_if_missing {
            let reader = store.readers.take(&store.config).await?;
            store.readers.finish(reader, Ok(())).await?;
        }
        Ok(store)
    }

    /// Leases the writer's state to one task. A lease that is dropped closes its connection.
    pub(super) async fn lease(&self, doing: &'static str) -> Result<WriteLease<'_>, StoreError> {
        let mut writer = self.writer.lock().await;
        if writer.closed {
            return Err(closed_error(doing));
        }
        if let Err(damaged) = self.damage.check(&self.config.path, doing) {
            if let Some(mut state) = writer.state.take() {
                state.connection.db.is_suspect = true;
            }
            if let Some(mut checkpointer) = writer.checkpointer.take() {
                checkpointer.db.is_suspect = true;
            }
            return Err(damaged);
        }
        if let Some(state) = writer.state.take() {
            let mut lease = WriteLease { writer, damage: &self.damage, path: &self.config.path, state };
            let checked = lease.state.connection.check_before().await;
            lease.note(&checked);
            return checked.map(|()| lease);
        }
        let state = self.open_again(&mut writer).await;
        self.damage.note(&self.config.path, &state);
        Ok(WriteLease { writer, damage: &self.damage, path: &self.config.path, state: state? })
    }

    /// Opens the file that is at PATH now.
    async fn open_again(&self, writer: &mut Writer) -> Result<WriterState, StoreError> {
        writer.drop_connections();
        self.close_idle().await;
        self.parking.hand_over(&self.config).await?;
        let mut still = None;
        if let (Some(last), Ok(database)) = (&writer.last, self.config.resolved()) {
            // First: a parked connection whose file is back at PATH gives its log back.
            self.parking.tend(&database, self.config.timeout / 2).await;
            if last.has_database() && !last.is_in_place() {
                store_registry::close_idle(last.database(), &self.writer).await?;
            }
            // SQLite has one index for all connections of a process to a database. One that still has the removed log would
            // have it count frames that a new log does not have.
            // Some descriptors are our own (`FileIdentity::with_frames`): while they are open, no other file has this inode.
            let is_open = |log| count_open(log) > WalFile::count(log);
            if last.has_database() && !last.has_log() && last.log().is_some_and(is_open) {
                return Err(removed_log_error());
            }
            if !last.has_same_index(&database) {
                // The reads that go on have an index that was removed, and SQLite would use it for this connection too.
                still = Some((self.readers.quiet(&self.config).await?, self.status_readers.quiet(&self.config).await?));
                self.close_idle().await;
            }
        }
        let mut state =
            WriterState::open(&self.config, &self.parking, writer.last.is_none()).await.map_err(as_transient)?;
        drop(still);
        self.parking.abandoned.close_beside_another().await;
        // Another file may have the same version of its schema, and triggers.
        self.checked_schema.store(UNCHECKED, Ordering::Relaxed);
        let now = state.connection.db.identity.clone();
        if writer.last.as_ref().is_some_and(|last| last.database() != now.database()) {
            self.record_replaced(&mut state, &mut writer.lock).await?;
        }
        writer.last = Some(now.clone());
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(state)
    }

    /// Fails if a connection of the app's may have files open that were removed or replaced. Call it while the connection
    /// holds the write lock: nobody goes over to another log before its transaction ends.
    pub(super) fn check_files(&self) -> Result<(), StoreError> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match &*files {
            Some(files) if !files.is_in_place() => Err(replaced_error()),
            Some(files) => files.check_frames(),
            None => Ok(()),
        }
    }

    /// Records in the log at PATH that another was there before.
    async fn record_replaced(&self, state: &mut WriterState, writer_lock: &mut LivenessLock) -> Result<(), StoreError> {
        let mut event = AuditEvent::new(EventType::AUDIT_FAILED);
        event.details.insert("reason".into(), "the log file was removed or replaced while it was written".into());
        let names = self.parking.copies().into_iter().filter_map(|copy| Some(copy.file_name()?.to_str()?.to_owned()));
        event.details.insert("copies_of_replaced_logs".into(), names.collect::<Vec<_>>().into());
        event.truncate_to_limits();
        append::append(state, writer_lock, &[event]).await
    }

    /// Takes the writer out of the file. If the file's log was removed, that is done in the one that follows it.
    async fn end_writer(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if let Some(state) = &mut writer.state
            && state.connection.check_before().await.is_ok()
            && unregister_writer(&mut state.connection, &mut writer.lock).await.is_ok()
        {
            writer.drop_connections();
            return Ok(());
        }
        writer.drop_connections();
        if !writer.lock.is_registered() || self.parking.abandoned.is_empty() {
            // The lock is released: the next process to open the file finds this writer dead.
            writer.lock = LivenessLock::new();
            return Ok(());
        }
        let mut state = self.open_again(writer).await?;
        unregister_writer(&mut state.connection, &mut writer.lock).await
    }

    async fn count_open(&self) -> Result<OpenCounts, StoreError> {
        if !diagnostics::has_open(&self.readers, &self.config).await? {
            return Ok(OpenCounts::default());
        }
        let mut lease = self.lease("inspecting the file").await?;
        let (state, writer_lock) = lease.parts();
        let counted = open_counts::count_open(state, writer_lock).await;
        lease.finish(counted).await
    }

    /// Does one step of maintenance. Returns true if work is left.
    async fn maintain_some(&self, elsewhere: usize) -> Result<bool, StoreError> {
        let mut lease = self.lease(INDEXING).await?;
        if !self.parking.abandoned.is_empty() {
            // A checkpoint that failed or was cancelled abandons its connection. The writer's has the same log open.
            let closed = self.parking.hand_over(&self.config).await;
            if closed.is_ok() {
                self.parking.abandoned.close_beside_another().await;
            }
            lease.finish(Ok(())).await?;
            closed?;
            lease = self.lease(INDEXING).await?;
        }
        if checkpoint::is_due(&lease.state) {
            checkpoint::note_try(&mut lease.state);
            lease.finish(Ok(())).await?;
            self.checkpoint().await?;
            lease = self.lease(INDEXING).await?;
        }
        match compaction::next_step(&mut lease.state, elsewhere).await {
            Ok(Step::Move(planned)) => {
                lease.finish(Ok(())).await?;
                let prepared = joined(tokio::task::spawn_blocking(|| planned.prepare())).await?;
                let mut lease = self.lease(INDEXING).await?;
                let moved = prepared.apply(&mut lease.state).await;
                let is_left = moved.map(|_| compaction::is_needed(&lease.state, 0));
                lease.finish(is_left).await
            }
            Ok(Step::Merge(segment)) => {
                lease.finish(Ok(())).await?;
                let (readers, config) = (Arc::clone(&self.status_readers), self.config.clone());
                let merged = joined(tokio::spawn(async move {
                    let mut lease = readers.take(&config).await?;
                    let merged = MergedParts::read(lease.db(), segment).await;
                    readers.finish(lease, merged).await
                }));
                let merged = merged.await?;
                let mut lease = self.lease(INDEXING).await?;
                let replaced = merged.replace(&mut lease.state).await;
                let is_left = replaced.map(|()| compaction::is_needed(&lease.state, 0));
                lease.finish(is_left).await
            }
            Ok(Step::Locked) => {
                let compacted = compaction::compact_some(&mut lease.state, elsewhere).await;
                lease.finish(compacted).await
            }
            Err(error) => lease.finish(Err(error)).await,
        }
    }

    /// Copies the write-ahead log into the database, most of it beside the appends.
    async fn checkpoint(&self) -> Result<(), StoreError> {
        let known = self.writer.lock().await.checkpointer.take();
        let mut connection = match known {
            Some(connection) if connection.db.identity.is_in_place() => connection,
            _ => {
                // It takes the write lock for a moment, for which it would compete with the appends.
                let lease = self.lease(INDEXING).await?;
                let existing = Config { create_if_missing: false, ..self.config.clone() };
                let opened = WriteConnection::open(&existing, &self.parking, false).await;
                lease.finish(Ok(())).await?;
                opened?
            }
        };
        let copied = checkpoint::copy_most(&mut connection).await;
        self.damage.note(&self.config.path, &copied);
        connection.db.is_suspect |= copied.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Corrupt);
        let mut writer = self.writer.lock().await;
        if copied.is_ok() && !writer.closed && connection.db.identity.is_in_place() {
            writer.checkpointer = Some(connection);
        } else {
            // Abandoned; the next maintenance closes it.
            drop(connection);
        }
        drop(writer);
        copied?;
        let mut lease = self.lease(INDEXING).await?;
        let copied = checkpoint::copy_rest(&mut lease.state).await;
        lease.finish(copied).await
    }

    async fn close_idle(&self) {
        self.readers.close_idle().await;
        self.status_readers.close_idle().await;
    }
}

/// Returns the output of a task; a panic in it goes on here.
async fn joined<T>(task: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match task.await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends.
            Err(_) => Err(transient(INDEXING)),
        },
    }
}

/// Without the path, which is the URL.
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("create", &self.config.create_if_missing).finish_non_exhaustive()
    }
}

impl AuditStore for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME).with_durable(true).with_maintenance_after(MAINTENANCE_AFTER)
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut lease = self.lease("append").await?;
            let (state, writer_lock) = lease.parts();
            let appended = bounded_append::append(state, writer_lock, events).await;
            lease.finish(appended).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut lease = self.lease("health").await?;
            let (state, writer_lock) = lease.parts();
            // A lock file that was deleted makes this writer look dead, and its open events orphans.
            let locked = match writer_lock.is_registered() {
                true => writer_lock.register(&state.connection.database),
                false => Ok(()),
            };
            let result = append::rehearse(state).await.and(locked);
            let result = result.and_then(|()| check_modes(&lease.state.connection.database));
            let is_faulty = lease.state.connection.version.resets_logs_wrongly();
            let database = lease.state.connection.database.clone();
            lease.finish(result).await?;
            check_only_name(&database).map_err(as_transient)?;
            if is_faulty { Err(resets_logs_wrongly("as it is linked")) } else { Ok(()) }
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(async move {
            let mut found = diagnostics::inspect(&self.readers, &self.config, &self.parking).await?;
            // A fault that keeps the open events from being counted is one of those found above, or of `health`.
            found.extend(match self.count_open().await {
                Ok(counts) => diagnostics::of_open(counts),
                Err(error) => vec![diagnostics::of_uncounted(&error)],
            });
            Ok(found)
        })
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let _one = self.maintaining.lock().await;
            let elsewhere = self.transactional_events.load(Ordering::Relaxed);
            let has_work = match &*self.writer.lock().await {
                Writer { closed: true, .. } => false,
                _ if !self.parking.abandoned.is_empty() => true,
                Writer { state: Some(state), .. } => {
                    compaction::is_needed(state, elsewhere) || checkpoint::is_due(state)
                }
                // Opens no connection for less: a store that does not write leaves no work behind.
                _ => elsewhere >= compaction::COMPACT_FROM_EVENTS,
            };
            if !has_work || self.damage.check(&self.config.path, INDEXING).is_err() {
                return Ok(false);
            }
            let elsewhere = self.transactional_events.swap(0, Ordering::Relaxed);
            let result = self.maintain_some(elsewhere).await;
            if result.is_err() {
                self.transactional_events.fetch_add(elsewhere, Ordering::Relaxed);
            }
            result
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            // It has a connection of its own, which would copy the log after this.
            let _none = self.maintaining.lock().await;
            let mut writer = self.writer.lock().await;
            writer.closed = true;
            let left = self.end_writer(&mut writer).await;
            self.readers.close().await;
            self.status_readers.close().await;
            // The last connection to go copies the write-ahead log into the database.
            self.parking.hand_over(&self.config).await?;
            if let Ok(database) = self.config.resolved() {
                self.parking.tend(&database, self.config.timeout / 2).await;
            }
            self.parking.abandoned.close_last().await?;
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

const INDEXING: &str = "indexing";
/// The number of appended events after which maintenance moves a chunk beside the appends.
const MAINTENANCE_AFTER: usize = 1024;
