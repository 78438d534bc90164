//! The connections that read: a few, opened when they are needed, never able to write or to make a file.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::config::Config;
use super::connection::{closed, look, opening, options};
use super::error::Doing as _;
use super::identity::Identity;
use super::schema::{self, Found};
use crate::store::StoreError;

/// The connections that read.
pub(super) struct Readers {
    idle: Mutex<Vec<Open>>,
    permits: Semaphore,
}

/// A connection for one read, in a transaction of its own: every statement on it sees the same moment.
pub(super) struct ReadLease<'a> {
    open: Open,
    _permit: SemaphorePermit<'a>,
}

struct Open {
    db: SqliteConnection,
    identity: Identity,
}

impl Readers {
    pub(super) fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()), permits: Semaphore::new(MOST_AT_ONCE) }
    }

    /// A connection to the file that is at PATH now.
    pub(super) async fn take(&self, config: &Config) -> Result<ReadLease<'_>, StoreError> {
        let permit = self.permits.acquire().await.map_err(|_| closed(DOING))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let open = match idle {
            Some(open) if open.identity.check().is_ok() => open,
            _ => Open::new(config).await?,
        };
        let mut lease = ReadLease { open, _permit: permit };
        sqlx::query("BEGIN").execute(lease.db()).await.doing(DOING)?;
        Ok(lease)
    }

    /// Ends the read. A lease that is not put back closes its connection.
    pub(super) async fn finish<T>(
        &self,
        mut lease: ReadLease<'_>,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = done?;
        sqlx::query("ROLLBACK").execute(lease.db()).await.doing(DOING)?;
        if !self.permits.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(lease.open);
        }
        Ok(done)
    }

    /// Closes what is idle, and refuses what comes.
    pub(super) async fn close(&self) {
        self.permits.close();
        self.close_idle().await;
    }

    /// Closes what is idle.
    pub(super) async fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for open in idle {
            // A connection that only read has nothing to lose.
            let _ = open.db.close().await;
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl ReadLease<'_> {
    pub(super) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.open.db
    }
}

impl Open {
    async fn new(config: &Config) -> Result<Self, StoreError> {
        let existing = Config { create: false, ..config.clone() };
        let resolved = look(&existing)?;
        let mut db = options(config, &resolved).read_only(true).connect().await.map_err(opening)?;
        match schema::examine(&mut db).await? {
            // An earlier version can be read as it is.
            Found::Ours | Found::Older => {}
            Found::Empty => return Err(schema::empty()),
            Found::Foreign => return Err(schema::foreign()),
        }
        Ok(Self { db, identity: Identity::now(config, &resolved)? })
    }
}

const DOING: &str = "reading";
const MOST_AT_ONCE: usize = 4;
