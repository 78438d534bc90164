//! The connections that read: a few, opened when they are needed, never able to write or to make a file.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::config::{Config, with_suffix};
use super::corruption_latch::CorruptionLatch;
use super::database_file::{check_location, resolve_database};
use super::error::{DuringOperation as _, closed_error, config, is_not_openable, open_error, transient};
use super::file_identity::FileIdentity;
use super::file_key::length;
use super::schema::{self, FileState};
use super::write_connection::options;
use crate::store::StoreError;

/// The connections that read.
pub(super) struct ReadPool {
    idle: Mutex<Vec<PooledConnection>>,
    permits: Semaphore,
    damage: Arc<CorruptionLatch>,
}

/// A connection for one read, in a transaction of its own: every statement on it sees the same moment.
pub(super) struct ReadLease<'a> {
    open: PooledConnection,
    _permit: SemaphorePermit<'a>,
}

struct PooledConnection {
    db: SqliteConnection,
    identity: FileIdentity,
    /// The attributes of a file that is read without a lock, because no process could write it when it was opened.
    still: Option<Still>,
}

/// Attributes of a file that change when it is written.
#[derive(Debug, PartialEq, Eq)]
struct Still {
    modified: SystemTime,
    bytes: u64,
}

impl ReadPool {
    pub(super) fn new(damage: &Arc<CorruptionLatch>) -> Self {
        Self { idle: Mutex::new(Vec::new()), permits: Semaphore::new(MAX_READERS), damage: damage.clone() }
    }

    /// Waits until no read is running; none begins while the permit lives.
    pub(super) async fn quiet(&self, config: &Config) -> Result<SemaphorePermit<'_>, StoreError> {
        let all = self.permits.acquire_many(MAX_READERS as u32);
        match tokio::time::timeout(config.timeout / 2, all).await {
            Ok(permits) => permits.map_err(|_| closed_error(DOING)),
            Err(_) => Err(transient("opening the file again")
                .with_hint("a read of the file that was there before goes on: it ends, or is to be ended")),
        }
    }

    /// Leases a connection to the file that is at PATH now, and begins a transaction.
    pub(super) async fn take(&self, config: &Config) -> Result<ReadLease<'_>, StoreError> {
        let permit = self.permits.acquire().await.map_err(|_| closed_error(DOING))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let open = match idle {
            Some(open) if open.is_current() => open,
            _ => self.open(config).await?,
        };
        let mut lease = ReadLease { open, _permit: permit };
        sqlx::query("BEGIN").execute(lease.db()).await.during(DOING)?;
        Ok(lease)
    }

    /// Copies the database into an empty file.
    pub(super) async fn copy_into(&self, config: &Config, target: &str) -> Result<(), StoreError> {
        const DOING: &str = "backup";
        let mut open = self.open(config).await?;
        // In no transaction: SQLite makes one itself.
        let result =
            sqlx::query("VACUUM INTO ?1").persistent(false).bind(target).execute(&mut open.db).await.during(DOING);
        if !open.is_current() {
            return Err(transient(DOING).with_hint("the file was replaced or written to while it was read: try again"));
        }
        self.damage.note(&config.path, &result);
        result.map(drop)
    }

    /// Runs SQLite's check of all pages; returns `ok` or the first fault.
    pub(super) async fn check_pages(&self, config: &Config) -> Result<String, StoreError> {
        let mut lease = self.take(config).await?;
        let result =
            sqlx::query_scalar("PRAGMA quick_check(1)").persistent(false).fetch_one(lease.db()).await.during(DOING);
        self.finish(lease, result).await
    }

    async fn open(&self, config: &Config) -> Result<PooledConnection, StoreError> {
        let open = PooledConnection::new(config).await;
        self.damage.note(&config.path, &open);
        open
    }

    /// Ends the read. A lease that is not put back closes its connection.
    pub(super) async fn finish<T>(
        &self,
        mut lease: ReadLease<'_>,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if result.is_err() && !lease.open.is_current() {
            // Over a removed index, a whole file reads like a damaged one.
            return Err(transient(DOING).with_hint("the file was removed or replaced while it was read: read again"));
        }
        self.damage.note(lease.open.identity.path(), &result);
        if lease.open.still.is_some() && !lease.open.is_current() {
            return Err(transient(DOING).with_hint("somebody began to write the file while it was read: read again"));
        }
        let result = result?;
        sqlx::query("ROLLBACK").execute(lease.db()).await.during(DOING)?;
        if !self.permits.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(lease.open);
        }
        Ok(result)
    }

    /// Closes the idle connections and rejects later reads.
    pub(super) async fn close(&self) {
        self.permits.close();
        self.close_idle().await;
    }

    /// Closes the idle connections.
    pub(super) async fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for open in idle {
            // A connection that only read has nothing to lose.
            let _ = open.db.close().await;
        }
    }
}

impl fmt::Debug for ReadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl ReadLease<'_> {
    pub(super) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.open.db
    }
}

impl PooledConnection {
    async fn new(config: &Config) -> Result<Self, StoreError> {
        let existing = Config { create_if_missing: false, ..config.clone() };
        let resolved = resolve_database(&existing)?;
        // Events may be in a log beside another name of the file; one that lies here shows that this is the right name.
        if length(&with_suffix(&resolved, "-wal"))? == 0 {
            check_location(&resolved)?;
        }
        match Self::connect(config, &resolved, None).await {
            // A reader needs the index (-shm), and none can be created here.
            Err(error) if is_not_openable(&error) => match still(&resolved)? {
                Some(still) => Self::connect(config, &resolved, Some(still)).await,
                None => Err(of_log_without_index()),
            },
            opened => opened,
        }
    }

    async fn connect(config: &Config, resolved: &Path, still: Option<Still>) -> Result<Self, StoreError> {
        let options = options(config, resolved).read_only(true).immutable(still.is_some());
        let mut db = options.connect().await.map_err(open_error)?;
        match schema::examine(&mut db).await? {
            FileState::Current => {}
            FileState::Empty => return Err(schema::empty_error(resolved)),
            FileState::Foreign => return Err(schema::foreign_error()),
        }
        Ok(Self { db, identity: FileIdentity::now(config, resolved)?, still })
    }

    /// Returns true if it has the file open that is at PATH now.
    fn is_current(&self) -> bool {
        self.identity.check().is_ok()
            && (self.still.is_none() || matches!(still(self.identity.path()), Ok(now) if now == self.still))
    }
}

/// Reads the attributes that change with a write; `None` if a log that may have events lies beside the file.
fn still(database: &Path) -> Result<Option<Still>, StoreError> {
    if length(&with_suffix(database, "-wal"))? > 0 {
        return Ok(None);
    }
    let metadata = std::fs::metadata(database).during(DOING)?;
    Ok(Some(Still { modified: metadata.modified().during(DOING)?, bytes: metadata.len() }))
}

fn of_log_without_index() -> StoreError {
    config(
        "events are in its write-ahead log (-wal), and the index that reading it needs (-shm) can neither be used nor made \
         here by this user: copy the file and its -wal to a folder that you can write, and read the copy",
    )
}

const DOING: &str = "reading";
const MAX_READERS: usize = 4;
