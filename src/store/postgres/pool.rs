//! A few sessions of one purpose: opened when they are needed, given up when anything fails on them.
//!
//! The pool never waits for the server to come back: an attempt fails at once, and whoever called decides when to try
//! again. So service is back as soon as the server is.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::config::Config;
use super::connection::{Purpose, connect};
use super::error::{closed, while_in_use};
use crate::store::StoreError;

pub(super) struct Pool {
    purpose: Purpose,
    idle: Mutex<Vec<PgConnection>>,
    permits: Semaphore,
}

/// A session for one task. It is lost if it is not given back, and with it what was left half done.
pub(super) struct Lease<'a> {
    pub(super) db: PgConnection,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(purpose: Purpose, most: usize) -> Self {
        Self { purpose, idle: Mutex::default(), permits: Semaphore::new(most) }
    }

    /// A session that is idle, or a new one.
    pub(super) async fn lease(&self, config: &Config, doing: &'static str) -> Result<Lease<'_>, StoreError> {
        let permit = self.permits.acquire().await.map_err(|_| closed(doing))?;
        let idle = self.idle().pop();
        let db = match idle {
            Some(db) => db,
            None => connect(config, self.purpose).await.map_err(while_in_use)?,
        };
        Ok(Lease { db, pool: self, _permit: permit })
    }

    /// Takes in a session that was opened elsewhere.
    pub(super) fn put(&self, db: PgConnection) {
        if !self.permits.is_closed() {
            self.idle().push(db);
        }
    }

    /// Closes what is idle, and refuses what comes.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for db in idle {
            // Whatever was acknowledged is committed; there is nothing to lose.
            let _ = db.close().await;
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Gives the session back if all went well. If not, those that are idle go too: what ended one has likely
    /// ended all.
    pub(super) fn settle<T>(self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match done {
            Ok(done) => {
                self.pool.put(self.db);
                Ok(done)
            }
            Err(error) => {
                if error.is_transient() {
                    self.pool.idle().clear();
                }
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}
