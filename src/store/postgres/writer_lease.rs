//! The writer's lease: an advisory lock by which others see that it lives.
//!
//! A writer is a row with a random number, and holds the advisory lock of that number in a session of its own. The
//! server releases the lock when the session ends: when the process dies, whatever the clocks say.
//!
//! A session can also end without its process: the server restarts, the network breaks. So the session
//! is pinged all the time. For example:
//! - t0: the session breaks; the server frees the lock.
//! - t0 + 0.25 s: the next ping fails. The writer refuses write-ahead events, takes the lock again in a new session, and
//!   counts `retaken` up.
//! - t0 + 3 s ([`GRACE`]): only now may another process close its events, if the lock is still free and `retaken` is as
//!   before.
//!
//! There is one session at a time. One that does not answer holds the lock until the server ends it, so it must have
//! answered or ended before the next (`abandoned.rs`). A writer that is cut off for longer than the grace is taken for
//! dead: its row is deleted, and a foreign key keeps it from using that number again. It registers under another.

use std::fmt;
use std::pin::pin;
use std::sync::Mutex as SyncMutex;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::config::Config;
use super::error::{DuringOperation as _, transient};
use super::identifiers::{STARTED, WRITERS};
use super::observer::Observer;
use super::pool::{Pool, SessionLease, Shared};
use super::session::SessionKind;
use crate::random::random;
use crate::store::StoreError;

/// A writer.
pub(super) struct WriterLease {
    config: Config,
    /// Of one session.
    sessions: Pool,
    /// Held while the writer is being registered, so that it is once.
    registering: Mutex<()>,
    held: SyncMutex<Option<HeldLock>>,
}

/// A number, and the task that keeps its lock.
struct HeldLock {
    id: i64,
    state: Arc<State>,
    /// Ends the task, and the session with it.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// The state of the writer's lock.
#[derive(Debug, Default)]
struct State(SyncMutex<Lock>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Lock {
    #[default]
    Held,
    /// Its session does not answer, or is gone. It is being taken again.
    Lost,
    /// The writer was taken for dead: it must have another number.
    Buried,
}

/// The task and its session end with the writer.
impl Drop for HeldLock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WriterLease {
    /// A writer that is not registered yet.
    pub(super) fn new(config: Config, observer: &Arc<Observer>) -> Self {
        Self {
            config,
            sessions: Pool::new(SessionKind::Lock, 1, observer),
            registering: Mutex::default(),
            held: SyncMutex::default(),
        }
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
        let mut lease = self.sessions.lease(&self.config, DOING).await?;
        let registered = register(&mut lease.db, &self.config).await;
        let id = match registered {
            Ok(id) => id,
            Err(error) => return lease.finish(Err(error)),
        };
        let (state, (stop, stopped)) = (Arc::default(), oneshot::channel());
        let keeper = Keeper {
            config: self.config.clone(),
            sessions: Arc::clone(self.sessions.shared()),
            id,
            state: Arc::clone(&state),
        };
        let task = tokio::spawn(keeper.run(lease, stopped));
        *self.held() = Some(HeldLock { id, state, stop: Some(stop), task });
        Ok(id)
    }

    /// The number if its lock is held; none if there must be a new one; an error while the lock is being taken again.
    fn current(&self) -> Result<Option<i64>, StoreError> {
        let mut held = self.held();
        let Some(found) = &*held else { return Ok(None) };
        match found.state.get() {
            // A task that ended with its runtime holds nothing.
            _ if found.task.is_finished() => *held = None,
            Lock::Held => return Ok(Some(found.id)),
            Lock::Lost => {
                return Err(transient(DOING).with_hint(
                    "the session that holds the writer's lock does not answer; the lock is being taken again",
                ));
            }
            Lock::Buried => *held = None,
        }
        Ok(None)
    }

    /// The number, if there is one, even while its lock is lost.
    pub(super) fn known(&self) -> Option<i64> {
        self.held().as_ref().map(|held| held.id)
    }

    /// Releases the lock and drops the number.
    pub(super) fn forget(&self) {
        *self.held() = None;
    }

    /// Unregisters the writer in one of the append sessions: its row is deleted, or, while events of it are open, says that it
    /// has left.
    pub(super) async fn unregister(&self, writers: &Pool) -> Result<(), StoreError> {
        let Some(id) = self.known() else { return Ok(()) };
        let left = writers.within(self.config.timeout, LEAVING, async {
            let leave = async || {
                let mut lease = writers.lease(&self.config, LEAVING).await?;
                let result = strike_off(&mut lease.db, &self.config, id).await;
                lease.finish(result)
            };
            match leave().await {
                // The server ended the session after its last use, perhaps. The next is asked first, or new.
                Err(error) if error.is_transient() => leave().await,
                left => left,
            }
        });
        let left = left.await;
        // The lock is released in any case: a closed writer is a dead one.
        let held = self.held().take();
        if let Some(mut held) = held {
            drop(held.stop.take());
            // When it has ended, its session is closed.
            let _ = tokio::time::timeout(self.config.timeout, &mut held.task).await;
        }
        self.sessions.close().await;
        left
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<HeldLock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WriterLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterLease").field("registered", &self.known().is_some()).finish_non_exhaustive()
    }
}

impl State {
    fn get(&self) -> Lock {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, lock: Lock) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lock;
    }
}

/// The task that holds the lock: it pings the session that has the lock, and takes the lock again when that session is
/// gone.
struct Keeper {
    config: Config,
    sessions: Arc<Shared>,
    id: i64,
    state: Arc<State>,
}

impl Keeper {
    /// Runs until it is stopped, or the writer was taken for dead.
    async fn run(self, mut lease: SessionLease, mut stopped: oneshot::Receiver<()>) {
        loop {
            let Some(is_broken) = unless(&mut stopped, pulses(&mut lease.db)).await else {
                return lease.close().await;
            };
            self.state.set(Lock::Lost);
            // It must be gone, or have answered, before there is another.
            if is_broken {
                lease.lose()
            } else {
                drop(lease)
            }
            lease = match unless(&mut stopped, self.retake_at_last()).await {
                None => return,
                Some(Some(lease)) => lease,
                Some(None) => return self.state.set(Lock::Buried),
            };
            self.state.set(Lock::Held);
        }
    }

    async fn retake_at_last(&self) -> Option<SessionLease> {
        loop {
            match self.retake().await {
                Ok(lease) => return lease,
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }

    /// The session that has the lock now, or none if the writer was taken for dead.
    async fn retake(&self) -> Result<Option<SessionLease>, StoreError> {
        let mut lease = self.sessions.lease(&self.config, DOING).await?;
        match retaken(&mut lease.db, &self.config, self.id).await {
            Ok(true) => Ok(Some(lease)),
            Ok(false) => lease.finish(Ok(None)),
            Err(error) => lease.finish(Err(error)),
        }
    }
}

/// The result of the work, or none if it is stopped first.
async fn unless<T>(stopped: &mut oneshot::Receiver<()>, work: impl Future<Output = T>) -> Option<T> {
    match select(stopped, pin!(work)).await {
        Either::Left(_) => None,
        Either::Right((result, _)) => Some(result),
    }
}

/// Pings the session until it does not answer. True if its connection is broken.
async fn pulses(db: &mut PgConnection) -> bool {
    loop {
        match tokio::time::timeout(PING_TIMEOUT, db.ping()).await {
            Ok(Ok(())) => tokio::time::sleep(PING_EVERY).await,
            Ok(Err(_)) => return true,
            Err(_) => return false,
        }
    }
}

/// A number that no other writer has, with its lock, in the list of writers.
async fn register(db: &mut PgConnection, config: &Config) -> Result<i64, StoreError> {
    let sql = format!("INSERT INTO {} (id) VALUES ($1) ON CONFLICT DO NOTHING", config.identifiers.side_table(WRITERS));
    for _ in 0..MOST_NUMBERS {
        let id = random().cast_signed();
        if !try_lock(db, id).await? {
            continue;
        }
        let result = sqlx::query(AssertSqlSafe(sql.clone())).bind(id).execute(&mut *db).await.during(DOING)?;
        if result.rows_affected() == 1 {
            return Ok(id);
        }
        // It is the number of one that died, perhaps: whose events are closed by its lock must find it free.
        sqlx::query("SELECT pg_catalog.pg_advisory_unlock($1)").bind(id).execute(&mut *db).await.during(DOING)?;
    }
    Err(transient(DOING).with_hint("every number that was tried is another writer's"))
}

/// Takes the lock again; false if the writer was taken for dead.
async fn retaken(db: &mut PgConnection, config: &Config, id: i64) -> Result<bool, StoreError> {
    if !try_lock(db, id).await? {
        return Err(transient(DOING));
    }
    let sql = format!("UPDATE {} SET retaken = retaken + 1 WHERE id = $1", config.identifiers.side_table(WRITERS));
    let result = sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(DOING)?;
    Ok(result.rows_affected() == 1)
}

async fn try_lock(db: &mut PgConnection, id: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)").bind(id).fetch_one(db).await.during(DOING)
}

async fn strike_off(db: &mut PgConnection, config: &Config, id: i64) -> Result<(), StoreError> {
    let (writers, started) = (config.identifiers.side_table(WRITERS), config.identifiers.side_table(STARTED));
    let sql = format!("UPDATE {writers} SET has_left = true WHERE id = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(LEAVING)?;
    let sql = format!("DELETE FROM {writers} WHERE id = $1 AND NOT EXISTS (SELECT FROM {started} WHERE writer = $1)");
    sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *db).await.during(LEAVING)?;
    Ok(())
}

const DOING: &str = "registering the writer";
const LEAVING: &str = "taking the writer's leave";
/// Two of them are the same once in 2^64.
const MOST_NUMBERS: u32 = 8;

/// The pause between pings of the session that holds the lock, and the timeout of a ping.
const PING_EVERY: Duration = Duration::from_millis(250);
const PING_TIMEOUT: Duration = Duration::from_millis(1000);
/// The pause after a failed attempt to take the lock again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The time for which a lock must be free before its writer is dead: enough for a failed ping and several attempts.
pub(super) const GRACE: Duration = Duration::from_millis(3000);
/// A condition: the lock of the writer `w` is free. A lock by one 64-bit number is listed in halves.
pub(super) const IS_FREE: &str = "NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 \
    AND l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
    AND ((l.classid::int8 << 32) | l.objid::int8) = w.id)";
