//! The sessions that read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adbc_driver_manager::ManagedDatabase;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore};

use super::error::{closed, transient};
use super::session::Session;
use crate::store::StoreError;

/// A few sessions that read, opened as they are needed.
pub(super) struct ReadPool {
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
    /// Shared by those who read; taken by the one who opens it again. None if that has failed.
    database: Arc<RwLock<Option<ManagedDatabase>>>,
}

impl ReadPool {
    pub(super) fn new(database: ManagedDatabase) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_READERS));
        Self { idle: Mutex::default(), permits, database: Arc::new(RwLock::new(Some(database))) }
    }

    /// Waits until no read is under way, and keeps others waiting.
    pub(super) async fn all_returned(&self) -> OwnedRwLockWriteGuard<Option<ManagedDatabase>> {
        Arc::clone(&self.database).write_owned().await
    }

    /// Closes the sessions that are not in use.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    /// Waits for a place among those who read.
    pub(super) async fn place(&self, doing: &'static str) -> Result<ReadPlace, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed(doing))?;
        Ok(ReadPlace { database: Arc::clone(&self.database).read_owned().await, _permit: permit })
    }

    /// Runs a read on a session, which is kept for the next one unless the read failed.
    pub(super) fn run<T>(
        &self,
        place: &ReadPlace,
        doing: &'static str,
        work: impl FnOnce(&mut Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let mut session = match (idle, &*place.database) {
            (Some(session), _) => session,
            (None, Some(database)) => Session::new(database, doing)?,
            (None, None) => {
                return Err(transient(doing).with_hint("the database is closed after a failure, until the next append"));
            }
        };
        let done = work(&mut session)?;
        self.idle().push(session);
        Ok(done)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who read, while the database is not opened again.
pub(super) struct ReadPlace {
    database: OwnedRwLockReadGuard<Option<ManagedDatabase>>,
    _permit: OwnedSemaphorePermit,
}

/// DuckDB runs each of them on all its threads.
const MAX_READERS: usize = 3;
