//! Abandoned connections: given up after an error or with a cancelled call, and open until nothing can be lost with them.
//!
//! SQLite copies the write-ahead log into the database with the last connection of all processes, and with no other:
//!
//! - t0: A and B have the log open. Somebody removes `-wal`: its events are in a file without a name.
//! - t1: A notices, and closes its connection. B is there, so SQLite copies nothing.
//! - t2: A opens the file again, with a new log. The events of the removed one are lost with B's connection.
//!
//! So a connection is closed once another has the same log open, or after the log was copied and emptied
//! (`PRAGMA wal_checkpoint(TRUNCATE)`). An emptied log is safe in the hands of a process that notices later:
//!
//! - t0: `-wal` is removed. A copies and empties the removed log, opens a new one, and commits 7 frames. The index counts 7.
//! - t1: B notices. Its log has no seventh frame: the index is that of the new log, and B has nothing to copy.
//! - t2: B commits nothing either: its commit hook misses the removed log at its path, while it holds the lock without which
//!   nobody empties the log.
//!
//! With another index (`-shm`), processes hold different locks. A checkpoint by the removed one would then write over newer
//! pages, and SQLite makes one with the last connection. So a connection with a removed index copies nothing, unless its log
//! was removed too, and is closed while a connection that cannot write holds SQLite's lock of the database.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::config::Config;
use super::error::{DuringOperation as _, is_busy, is_damage, is_short, transient};
use super::file_identity::FileIdentity;
use super::lock_wait::LockWait;
use crate::store::StoreError;

/// The abandoned connections of a store.
#[derive(Default)]
pub(super) struct Abandoned(Mutex<VecDeque<AbandonedConnection>>);

struct AbandonedConnection {
    db: Option<SqliteConnection>,
    identity: FileIdentity,
    can_look_at_log: bool,
}

impl Abandoned {
    pub(super) fn push(&self, db: SqliteConnection, identity: FileIdentity, can_look_at_log: bool) {
        self.lock().push_back(AbandonedConnection { db: Some(db), identity, can_look_at_log });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Ends their transactions and parks those whose database was removed. Copies the logs that were removed, and closes
    /// their connections: the next connection of this process would use their index too.
    ///
    /// # Errors
    /// If a log cannot be copied now. Its connection stays open, and the next call tries again.
    pub(super) async fn hand_over(
        &self,
        config: &Config,
        park: impl Fn(SqliteConnection, FileIdentity),
    ) -> Result<(), StoreError> {
        let count = self.lock().len();
        for _ in 0..count {
            let Some(mut out) = self.take() else { break };
            // There is no transaction, as a rule.
            let _ = sqlx::query("ROLLBACK").execute(out.one().db()).await;
            if !out.one().identity.has_database() {
                let mut gone = out.leave();
                if let Some(db) = gone.db.take() {
                    park(db, gone.identity.clone());
                }
                continue;
            }
            out.one().copy_removed_log(config).await?;
            if !out.one().identity.is_in_place() {
                out.close_beside_holder().await?;
            }
        }
        Ok(())
    }

    /// Closes them after [`hand_over`](Self::hand_over), while another connection has their log open.
    pub(super) async fn close_beside_another(&self) {
        while let Some(out) = self.take() {
            if let Some(db) = out.leave().db.take() {
                let _ = db.close().await;
            }
        }
    }

    /// Closes them after [`hand_over`](Self::hand_over), the last with a copy of its log.
    ///
    /// # Errors
    /// If the log cannot be copied by now.
    pub(super) async fn close_last(&self) -> Result<(), StoreError> {
        while let Some(mut out) = self.take() {
            if !out.one().identity.is_in_place() {
                out.close_beside_holder().await?;
                continue;
            }
            if let Err(error) = out.one().identity.check_frames() {
                // They are closed by the end of the process, which copies nothing.
                std::mem::forget(out.leave().db.take());
                while let Some(out) = self.take() {
                    std::mem::forget(out.leave().db.take());
                }
                return Err(error);
            }
            // SQLite copies it with the last connection of all processes, and does not say whether this one is.
            let copied = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").persistent(false).execute(out.one().db()).await;
            let mut last = out.leave();
            if let Some(db) = last.db.take() {
                db.close().await.during(CLOSING)?;
            }
            if !last.identity.has_log() {
                copied.during(CLOSING)?;
            }
        }
        Ok(())
    }

    /// Takes the oldest. It is put back when the guard is dropped.
    fn take(&self) -> Option<Out<'_>> {
        self.lock().pop_front().map(|one| Out { all: self, one: Some(one) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<AbandonedConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abandoned").finish_non_exhaustive()
    }
}

/// An abandoned connection that is being worked on.
struct Out<'a> {
    all: &'a Abandoned,
    one: Option<AbandonedConnection>,
}

impl Out<'_> {
    fn one(&mut self) -> &mut AbandonedConnection {
        self.one.as_mut().expect("only `leave` and `drop` take it, and both end this")
    }

    /// Closes the connection so that SQLite does nothing with its files.
    async fn close_beside_holder(mut self) -> Result<(), StoreError> {
        let holder = Holder::open(self.one().identity.resolved()).await?;
        if self.one().identity.has_database() {
            self.leave().close_beside(holder).await;
        }
        Ok(())
    }

    fn leave(mut self) -> AbandonedConnection {
        self.one.take().expect("only `leave` and `drop` take it, and both end this")
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        self.all.lock().extend(self.one.take());
    }
}

impl AbandonedConnection {
    fn db(&mut self) -> &mut SqliteConnection {
        self.db.as_mut().expect("what takes it ends this")
    }

    /// Copies a removed log into the database and empties it. Waits until no process commits with a removed index.
    async fn copy_removed_log(&mut self, config: &Config) -> Result<(), StoreError> {
        let mut wait = LockWait::begin(config.lock_timeout());
        while !self.is_copied().await? {
            if !wait.has_time().await {
                return Err(transient(DOING).with_hint(STILL_READ));
            }
        }
        Ok(())
    }

    /// Returns true if no event is in the removed files alone, and copies those that are. Returns false if another
    /// connection is in the way.
    async fn is_copied(&mut self) -> Result<bool, StoreError> {
        let done = match (self.identity.has_log(), self.identity.has_index()) {
            (true, true) => return Ok(true),
            // Any index finds the events in the log at its path.
            (true, false) => sqlx::query(WAIT_FOR_COMMIT).execute(self.db()).await.map(|_| true),
            (false, _) if self.was_emptied().await? => return Ok(true),
            (false, _) => {
                self.identity.check_frames()?;
                let done =
                    sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").persistent(false).fetch_one(self.db()).await;
                done.map(|(busy, _, _): (i64, i64, i64)| busy == 0)
            }
        };
        match done {
            Err(error) if is_busy(&error) => Ok(false),
            // The log is shorter than its index says: another process has emptied it in this moment.
            Err(error) if is_short(&error) => Ok(false),
            done => done.during(DOING),
        }
    }

    /// Returns true if another process has copied and emptied the removed log.
    async fn was_emptied(&mut self) -> Result<bool, StoreError> {
        let Some(removed) = self.identity.log_file() else { return Ok(false) };
        if removed.is_empty().during(DOING)? {
            return Ok(true);
        }
        if !self.can_look_at_log {
            return Ok(false);
        }
        let frames = frames(self.db()).await?;
        let Some(removed) = self.identity.log_file() else { return Ok(false) };
        // It may have died before the log was empty. The index then counts the frames of a log that was begun later.
        if let Some(named) = self.identity.log_at_path()
            && named.ends_with(frames).during(DOING)?
            && named.follows(removed).during(DOING)?
        {
            return Ok(true);
        }
        // A process that opened the removed log with a newer index has added to it.
        let is_added_to = !self.identity.has_index() && removed.goes_on_after(frames).during(DOING)?;
        if frames > 0 && (is_added_to || !removed.ends_with(frames).during(DOING)?) {
            return Err(transient(DOING).with_hint(HELD_ELSEWHERE));
        }
        Ok(false)
    }

    /// Closes the connection while another holds SQLite's lock of the database, so that SQLite neither copies a log nor
    /// deletes one.
    async fn close_beside(mut self, holder: Holder) {
        if let Some(db) = self.db.take() {
            let _ = db.close().await;
        }
        holder.close().await;
    }
}

impl Drop for AbandonedConnection {
    fn drop(&mut self) {
        // The driver closes it, as the last perhaps.
        let identity = &self.identity;
        let is_kept = |_: &mut _| !identity.has_database() || !identity.has_index() || identity.check_frames().is_err();
        if let Some(db) = self.db.take_if(is_kept) {
            std::mem::forget(db);
        }
    }
}

/// A connection that cannot write, and holds SQLite's shared lock of the database.
pub(super) struct Holder(Option<SqliteConnection>);

impl Holder {
    pub(super) async fn open(database: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().filename(database).read_only(true).disable_statement_logging();
        let mut db = options.connect().await.during(DOING)?;
        match sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1").execute(&mut db).await {
            // The lock is taken before the first page is read, with an index that may not fit the log.
            Err(error) if !is_short(&error) && !is_damage(&error) => Err(error).during(DOING),
            _ => Ok(Self(Some(db))),
        }
    }

    pub(super) async fn close(mut self) {
        if let Some(db) = self.0.take() {
            let _ = db.close().await;
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The close that it waits for was given up and goes on.
        std::mem::forget(self.0.take());
    }
}

/// Reads the number of frames that the index counts. Changes nothing.
pub(super) async fn frames(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let (_, frames, _): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(NOOP)").persistent(false).fetch_one(db).await.during(DOING)?;
    Ok(u64::try_from(frames).unwrap_or(0))
}

const DOING: &str = "copying the removed write-ahead log";
const CLOSING: &str = "close";
const WAIT_FOR_COMMIT: &str = "BEGIN IMMEDIATE; ROLLBACK";
const STILL_READ: &str = "its events are in a file without a name, and nothing is written before they are in the database: \
    a read of the log goes on that keeps them from it; it ends, or is to be ended";
const HELD_ELSEWHERE: &str = "another process has its last events: let it copy them, by a health check or by ending it in \
    good order; do not kill it";
