//! Which writer an open `started` event belongs to, and how the others see that it lives.
//!
//! A writer is a row with a random number, and holds the advisory lock of that number in a session of its own. The
//! server releases the lock when the session ends: when the process dies, whatever the clocks say.
//!
//! A session can also end without its process: the server restarts, the network breaks. So the session is asked for
//! its pulse all the time, and when it is gone the lock is taken again at once and `retaken` counts up. Whoever finds a lock
//! free waits for longer than that takes before it believes the writer dead ([`GRACE`]). Until its lock is held
//! again, a writer starts nothing new. And if it was taken for dead all the same (it was cut off from the server for
//! longer than the grace, while the server lost its session), its row is gone, and a foreign key keeps it from ever using
//! that number again: it goes on under another.

use std::fmt;
use std::sync::Mutex as SyncMutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::config::Config;
use super::connection::{Purpose, connect, within};
use super::error::{Doing as _, transient, while_in_use};
use super::names::{INSTANCES, OPEN};
use crate::store::StoreError;

/// A writer.
pub(super) struct Instance {
    config: Config,
    /// Held while the writer is being registered, so that it is once.
    registering: Mutex<()>,
    held: SyncMutex<Option<Held>>,
}

/// A number, and the task that keeps its lock.
struct Held {
    id: i64,
    state: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

/// The task and its session end with the writer.
impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Instance {
    /// A writer that nobody has heard of yet.
    pub(super) fn new(config: Config) -> Self {
        Self { config, registering: Mutex::default(), held: SyncMutex::default() }
    }

    /// The number, with its lock held.
    pub(super) async fn id(&self) -> Result<i64, StoreError> {
        if let Some(id) = self.current()? {
            return Ok(id);
        }
        let _once = self.registering.lock().await;
        if let Some(id) = self.current()? {
            return Ok(id);
        }
        let id = fastrand::i64(..);
        let mut db = connect(&self.config, Purpose::Keep).await.map_err(while_in_use)?;
        if !try_lock(&mut db, id).await? {
            return Err(transient(DOING).with_remedy("another writer has this number"));
        }
        let sql = format!("INSERT INTO {} (id) VALUES ($1)", self.config.names.beside(INSTANCES));
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut db).await.doing(DOING)?;
        let state = Arc::new(AtomicU8::new(HELD));
        let task = tokio::spawn(keep(self.config.clone(), id, db, Arc::clone(&state)));
        *self.held() = Some(Held { id, state, task });
        Ok(id)
    }

    /// The number if its lock is held; none if there must be a new one; an error while the lock is being taken again.
    fn current(&self) -> Result<Option<i64>, StoreError> {
        let mut held = self.held();
        let Some(found) = &*held else { return Ok(None) };
        match found.state.load(Ordering::Acquire) {
            // A task that ended with its runtime holds nothing.
            _ if found.task.is_finished() => *held = None,
            HELD => return Ok(Some(found.id)),
            LOST => return Err(transient(DOING).with_remedy("the writer's lock is being taken again")),
            _ => *held = None,
        }
        Ok(None)
    }

    /// The number, if there is one; whether its lock is held does not matter.
    pub(super) fn known(&self) -> Option<i64> {
        self.held().as_ref().map(|held| held.id)
    }

    /// Lets go of the lock and of the number.
    pub(super) fn forget(&self) {
        *self.held() = None;
    }

    /// Takes the writer's leave: its row goes, or says that it has left if events of it are still open.
    pub(super) async fn leave(&self) -> Result<(), StoreError> {
        let Some(id) = self.known() else { return Ok(()) };
        let left = async {
            let mut db = connect(&self.config, Purpose::Keep).await?;
            let (instances, open) = (self.config.names.beside(INSTANCES), self.config.names.beside(OPEN));
            let sql = format!("UPDATE {instances} SET has_left = true WHERE id = $1");
            sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut db).await.doing(LEAVING)?;
            let sql = format!(
                "DELETE FROM {instances} WHERE id = $1 AND NOT EXISTS (SELECT FROM {open} WHERE instance = $1)"
            );
            sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut db).await.doing(LEAVING)?;
            Ok(())
        };
        let left = left.await;
        // The lock is let go of in any case: a closed writer is a dead one.
        let task = self.held().as_mut().map(|held| {
            held.task.abort();
            std::mem::replace(&mut held.task, tokio::spawn(std::future::ready(())))
        });
        if let Some(task) = task {
            // When it has ended, its session has been dropped.
            let _ = task.await;
        }
        self.forget();
        left
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("registered", &self.known().is_some()).finish_non_exhaustive()
    }
}

/// Keeps the lock: feels the pulse of the session that holds it, and takes it again when that session is gone.
async fn keep(config: Config, id: i64, mut db: PgConnection, state: Arc<AtomicU8>) {
    loop {
        while pulse(&mut db).await.is_ok() {
            tokio::time::sleep(PULSE).await;
        }
        state.store(LOST, Ordering::Release);
        db = loop {
            match retake(&config, id).await {
                Ok(Some(db)) => break db,
                Ok(None) => {
                    state.store(BURIED, Ordering::Release);
                    return;
                }
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        };
        state.store(HELD, Ordering::Release);
    }
}

async fn pulse(db: &mut PgConnection) -> Result<(), StoreError> {
    let asked = async { sqlx::query("SELECT").execute(db).await.doing(DOING) };
    within(PULSE_WITHIN, DOING, asked).await.map(drop)
}

/// The session that has the lock now, or none if the writer was taken for dead.
async fn retake(config: &Config, id: i64) -> Result<Option<PgConnection>, StoreError> {
    let mut db = connect(config, Purpose::Keep).await?;
    if !try_lock(&mut db, id).await? {
        return Err(transient(DOING));
    }
    let sql = format!("UPDATE {} SET retaken = retaken + 1 WHERE id = $1", config.names.beside(INSTANCES));
    let done = sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut db).await.doing(DOING)?;
    Ok((done.rows_affected() == 1).then_some(db))
}

async fn try_lock(db: &mut PgConnection, id: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)").bind(id).fetch_one(db).await.doing(DOING)
}

const DOING: &str = "registering the writer";
const LEAVING: &str = "taking the writer's leave";

const HELD: u8 = 0;
const LOST: u8 = 1;
const BURIED: u8 = 2;

/// How often the session that holds the lock is asked, and how long it may take to answer.
const PULSE: Duration = Duration::from_millis(250);
const PULSE_WITHIN: Duration = Duration::from_millis(1000);
/// How long after a failed attempt the lock is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long a lock must have been free before its writer is dead: time for a pulse to fail and for several attempts.
pub(super) const GRACE: Duration = Duration::from_millis(3000);
