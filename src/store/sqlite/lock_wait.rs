//! The wait for the write lock.
//!
//! SQLite polls a lock after 1, 2, 5, … ms and then every 100 ms. A process that appends without a pause frees the lock for
//! a moment only:
//!
//! - t0: A has the lock, B polls.
//! - t0 + 10 ms: A commits. t0 + 10.2 ms: A begins again.
//! - t0 + 1 s: B has polled 17 times, each time within one of the 10 ms, and fails.
//!
//! So a connection that writes has a timeout of a few polls ([`POLLS`]), and its statements are repeated. A statement that
//! did not get the lock has changed nothing.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;

use super::error::is_busy;

/// Runs a statement that begins with taking the write lock. SQLite's own timeout is [`POLLS`].
pub(super) async fn execute_locking(
    db: &mut SqliteConnection,
    sql: &'static str,
    timeout: Duration,
) -> Result<(), sqlx::Error> {
    let mut wait = LockWait::begin(timeout);
    loop {
        let done = sqlx::query(sql).execute(&mut *db).await;
        if !wait.is_to_repeat(&done).await {
            return done.map(drop);
        }
    }
}

/// The time that one statement waits for the write lock.
#[derive(Debug)]
pub(super) struct LockWait {
    until: Instant,
    tried_at: Instant,
}

impl LockWait {
    pub(super) fn begin(timeout: Duration) -> Self {
        let now = Instant::now();
        Self { until: now + timeout, tried_at: now }
    }

    /// Returns true if the statement failed because another connection has the lock, and is to be repeated.
    pub(super) async fn is_to_repeat<T>(&mut self, result: &Result<T, sqlx::Error>) -> bool {
        result.as_ref().is_err_and(is_busy) && self.has_time().await
    }

    /// Returns true after a pause, or false at once if the time is over.
    pub(super) async fn has_time(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        // SQLite does not wait if it sees that waiting is in vain.
        if now - self.tried_at < POLLS {
            tokio::time::sleep(POLLS).await;
        }
        self.tried_at = Instant::now();
        true
    }
}

/// SQLite's timeout for a lock on a connection that writes: it polls after 0, 1 and 3 ms.
pub(super) const POLLS: Duration = Duration::from_millis(3);
