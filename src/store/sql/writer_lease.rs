//! The writer's lease: a lock by which others see that it lives.
//!
//! A writer is a row with a random number, and holds the lock of that number (an advisory lock of PostgreSQL, a named lock
//! of MariaDB and MySQL) in a session of its own. The
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
//! answered or ended before the next (`abandoned_session.rs`). A writer that is cut off for longer than the grace is taken for
//! dead: its row is deleted, and a foreign key keeps it from using that number again. It registers under another.

use std::fmt;
use std::pin::pin;
use std::sync::Mutex as SyncMutex;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::session_driver::{SessionDriver, SessionKind};
use super::session_observer::SessionObserver;
use super::session_pool::{Pool, SessionLease, SharedPool};
use crate::random::random;
use crate::store::{StoreError, StoreErrorKind};

/// The locks and the list of writers of a database.
pub(crate) trait WriterLocks: SessionDriver {
    /// Takes the lock of a number for this session; false if another session has it.
    fn try_lock(db: &mut Self::Connection, id: i64) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Releases the lock of a number.
    fn unlock(db: &mut Self::Connection, id: i64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds a writer to the list; false if the number is there already.
    fn insert_writer(
        db: &mut Self::Connection,
        config: &Self::Config,
        id: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Counts that the writer has taken its lock again; false if it is not in the list.
    fn count_retaken(
        db: &mut Self::Connection,
        config: &Self::Config,
        id: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes that the writer has left, and deletes it from the list if none of its events is open.
    fn strike_off(
        db: &mut Self::Connection,
        config: &Self::Config,
        id: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A writer.
pub(crate) struct WriterLease<D: WriterLocks> {
    config: D::Config,
    /// Of one session.
    sessions: Pool<D>,
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

impl<D: WriterLocks> WriterLease<D> {
    /// A writer that is not registered yet.
    pub(crate) fn new(config: D::Config, observer: &Arc<SessionObserver<D>>) -> Self {
        Self {
            config,
            sessions: Pool::new(SessionKind::Lock, 1, observer),
            registering: Mutex::default(),
            held: SyncMutex::default(),
        }
    }

    /// The number, with its lock held.
    pub(crate) async fn id(&self) -> Result<i64, StoreError> {
        if let Some(id) = self.current()? {
            return Ok(id);
        }
        let _once = self.registering.lock().await;
        if let Some(id) = self.current()? {
            return Ok(id);
        }
        let mut lease = self.sessions.lease(&self.config, REGISTERING).await?;
        let registered = register::<D>(&mut lease.db, &self.config).await;
        let id = match registered {
            Ok(id) => id,
            Err(error) => return lease.finish(Err(error)),
        };
        let (state, (stop, stopped)) = (Arc::default(), oneshot::channel());
        let keeper = Keeper::<D> {
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
                return Err(transient::<D>(REGISTERING).with_hint(
                    "the session that holds the writer's lock does not answer; the lock is being taken again",
                ));
            }
            Lock::Buried => *held = None,
        }
        Ok(None)
    }

    /// The number, if there is one, even while its lock is lost.
    pub(crate) fn known(&self) -> Option<i64> {
        self.held().as_ref().map(|held| held.id)
    }

    /// Releases the lock and drops the number.
    pub(crate) fn forget(&self) {
        *self.held() = None;
    }

    /// Unregisters the writer in one of the append sessions: its row is deleted, or, while events of it are open, says that it
    /// has left.
    pub(crate) async fn unregister(&self, writers: &Pool<D>) -> Result<(), StoreError> {
        let Some(id) = self.known() else { return Ok(()) };
        let left = writers.within(D::timeout(&self.config), LEAVING, async {
            let leave = async || {
                let mut lease = writers.lease(&self.config, LEAVING).await?;
                let result = D::strike_off(&mut lease.db, &self.config, id).await;
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
            // When it has ended, its session is closed. A task that does not end in time is aborted with `held`.
            let _ = tokio::time::timeout(D::timeout(&self.config), &mut held.task).await;
        }
        self.sessions.close().await;
        left
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<HeldLock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: WriterLocks> fmt::Debug for WriterLease<D> {
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
struct Keeper<D: WriterLocks> {
    config: D::Config,
    sessions: Arc<SharedPool<D>>,
    id: i64,
    state: Arc<State>,
}

impl<D: WriterLocks> Keeper<D> {
    /// Runs until it is stopped, or the writer was taken for dead.
    async fn run(self, mut lease: SessionLease<D>, mut stopped: oneshot::Receiver<()>) {
        loop {
            let Some(is_broken) = unless(&mut stopped, pulses(&mut *lease.db)).await else {
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

    async fn retake_at_last(&self) -> Option<SessionLease<D>> {
        loop {
            match self.retake().await {
                Ok(lease) => return lease,
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }

    /// The session that has the lock now, or none if the writer was taken for dead.
    async fn retake(&self) -> Result<Option<SessionLease<D>>, StoreError> {
        let mut lease = self.sessions.lease(&self.config, REGISTERING).await?;
        match retaken::<D>(&mut lease.db, &self.config, self.id).await {
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
async fn pulses(db: &mut impl sqlx::Connection) -> bool {
    loop {
        match tokio::time::timeout(PING_TIMEOUT, db.ping()).await {
            Ok(Ok(())) => tokio::time::sleep(PING_EVERY).await,
            Ok(Err(_)) => return true,
            Err(_) => return false,
        }
    }
}

/// A number that no other writer has, with its lock, in the list of writers.
async fn register<D: WriterLocks>(db: &mut D::Connection, config: &D::Config) -> Result<i64, StoreError> {
    for _ in 0..MOST_NUMBERS {
        let id = random().cast_signed();
        if !D::try_lock(db, id).await? {
            continue;
        }
        if D::insert_writer(db, config, id).await? {
            return Ok(id);
        }
        // It is the number of one that died, perhaps: whose events are closed by its lock must find it free.
        D::unlock(db, id).await?;
    }
    Err(transient::<D>(REGISTERING).with_hint("every number that was tried is another writer's"))
}

/// Takes the lock again; false if the writer was taken for dead.
async fn retaken<D: WriterLocks>(db: &mut D::Connection, config: &D::Config, id: i64) -> Result<bool, StoreError> {
    if D::try_lock(db, id).await? { D::count_retaken(db, config, id).await } else { Err(transient::<D>(REGISTERING)) }
}

fn transient<D: WriterLocks>(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, D::NAME, doing)
}

pub(crate) const REGISTERING: &str = "registering the writer";
/// Two of them are the same once in 2^64.
const MOST_NUMBERS: u32 = 8;
pub(crate) const LEAVING: &str = "taking the writer's leave";

/// The pause between pings of the session that holds the lock, and the timeout of a ping.
const PING_EVERY: Duration = Duration::from_millis(250);
const PING_TIMEOUT: Duration = Duration::from_millis(1000);
/// The pause after a failed attempt to take the lock again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The time for which a lock must be free before its writer is dead: enough for a failed ping and several attempts.
pub(crate) const GRACE: Duration = Duration::from_millis(3000);
