//! A few sessions of one kind: opened on demand, abandoned when anything fails on them.
//!
//! The pool never waits for the server to come back: an attempt fails at once, and the caller decides when to retry. So
//! service returns with the server.
//!
//! There are never more sessions on the server than places in the pool. A lease takes a place, and so does each abandoned
//! session until the server has answered or ended it (`abandoned_session.rs`). A lease opens a session if none is idle.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::abandoned_session::{SessionEnd, Waits, wait_for_end};
use super::session_driver::{Session, SessionDriver, SessionKind, answered_until, connect_timeout, unanswered};
use super::session_observer::SessionObserver;
use crate::store::{StoreError, StoreErrorKind};

/// The pool of a store. Dropping it ends the wait for abandoned sessions.
pub(crate) struct Pool<D: SessionDriver>(Arc<SharedPool<D>>);

/// The part of a pool that its sessions share.
pub(crate) struct SharedPool<D: SessionDriver> {
    purpose: SessionKind,
    observer: Arc<SessionObserver<D>>,
    /// The things that abandoned sessions wait for.
    waits: Waits,
    idle: Mutex<Vec<Idle<D>>>,
    places: Arc<Semaphore>,
    /// The runtime that waits for abandoned sessions.
    runtime: Handle,
}

struct Idle<D: SessionDriver> {
    session: Session<D>,
    /// None: something has failed on another session meanwhile.
    since: Option<Instant>,
}

/// A session for one task. Dropped without [`finish`](Self::finish), it is abandoned.
pub(crate) struct SessionLease<D: SessionDriver> {
    pub(crate) db: Leased<D>,
}

/// The connection of a lease.
pub(crate) struct Leased<D: SessionDriver>(Option<Held<D>>);

/// A session in its place.
struct Held<D: SessionDriver> {
    session: Session<D>,
    pool: Arc<SharedPool<D>>,
    /// Dropped after the session.
    place: OwnedSemaphorePermit,
}

impl<D: SessionDriver> Pool<D> {
    /// On the current runtime.
    pub(crate) fn new(purpose: SessionKind, most: usize, observer: &Arc<SessionObserver<D>>) -> Self {
        Self(Arc::new(SharedPool {
            purpose,
            observer: Arc::clone(observer),
            waits: Waits::default(),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(most)),
            runtime: Handle::current(),
        }))
    }

    pub(crate) fn shared(&self) -> &Arc<SharedPool<D>> {
        &self.0
    }

    /// A session that is idle, or a new one.
    pub(crate) async fn lease(&self, config: &D::Config, doing: &'static str) -> Result<SessionLease<D>, StoreError> {
        self.0.lease(config, doing).await
    }

    /// The first session. An opening that fails is an error of the URL, not of its use.
    pub(crate) async fn first(&self, config: &D::Config) -> Result<SessionLease<D>, StoreError> {
        let place = self.0.place("opening the log").await?;
        self.0.open(config, place).await
    }

    /// Waits for the work until the timeout. The error has the reason as far as it is known.
    pub(crate) async fn within<T>(
        &self,
        timeout: Duration,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(match self.0.waits.last() {
                Some(wait) => unanswered(D::NAME, doing).with_hint(D::reason(wait)),
                None => unanswered(D::NAME, doing),
            }),
        }
    }

    /// Closes idle sessions and refuses leases.
    pub(crate) async fn close(&self) {
        self.0.places.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for Idle { session, .. } in idle {
            // Whatever was acknowledged is committed; there is nothing to lose.
            let _ = session.db.close().await;
        }
    }
}

impl<D: SessionDriver> Drop for Pool<D> {
    fn drop(&mut self) {
        self.0.places.close();
        self.0.idle().clear();
    }
}

impl<D: SessionDriver> SharedPool<D> {
    /// A session that is idle, or a new one.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        config: &D::Config,
        doing: &'static str,
    ) -> Result<SessionLease<D>, StoreError> {
        loop {
            let place = self.place(doing).await?;
            let Some(Idle { session, since }) = self.idle().pop() else {
                return self.open(config, place).await.map_err(as_transient::<D>);
            };
            let mut lease = self.hold(session, place);
            if since.is_some_and(|since| since.elapsed() < UNUSED) {
                return Ok(lease);
            }
            // A firewall may have forgotten an idle connection, and tells neither end.
            let limit = (D::timeout(config) / 3).min(LONGEST_CHECK);
            match tokio::time::timeout(limit, lease.db.ping()).await {
                Ok(Ok(())) => return Ok(lease),
                Ok(Err(_)) => lease.lose(),
                Err(_) => {
                    drop(lease);
                    // It has likely forgotten all of them.
                    self.give_up_idle();
                }
            }
        }
    }

    /// Waits for a place.
    async fn place(&self, doing: &'static str) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed_error(D::NAME, doing))
    }

    async fn open(
        self: &Arc<Self>,
        config: &D::Config,
        place: OwnedSemaphorePermit,
    ) -> Result<SessionLease<D>, StoreError> {
        let until = Instant::now() + connect_timeout(D::timeout(config));
        let session = answered_until::<D, _>(until, D::establish(config, self.purpose)).await?;
        let mut lease = self.hold(session, place);
        match answered_until::<D, _>(until, D::prepare(&mut lease.db, config, self.purpose)).await {
            Ok(()) => Ok(lease),
            Err(error) => lease.finish(Err(error)),
        }
    }

    fn hold(self: &Arc<Self>, session: Session<D>, place: OwnedSemaphorePermit) -> SessionLease<D> {
        SessionLease { db: Leased(Some(Held { session, pool: Arc::clone(self), place })) }
    }

    /// Returns a session before its place, so that the next lease finds it.
    fn put(&self, session: Session<D>, place: OwnedSemaphorePermit) {
        if !self.is_closed() {
            self.idle().push(Idle { session, since: Some(Instant::now()) });
        }
        drop(place);
    }

    fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// Marks idle sessions to be pinged before use: the end of one session is likely the end of all.
    fn suspect_idle(&self) {
        for idle in &mut *self.idle() {
            idle.since = None;
        }
    }

    /// Abandons idle sessions, as far as there are places: with all places taken, no session is opened anyway.
    fn give_up_idle(self: &Arc<Self>) {
        self.suspect_idle();
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let Some(Idle { session, .. }) = self.idle().pop() else { break };
            drop(self.hold(session, place));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle<D>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: SessionDriver> SessionLease<D> {
    /// Returns the session to the pool after a success. After an error it is abandoned, and idle sessions are pinged before
    /// their use; if the error may be the session's, it is closed.
    pub(crate) fn finish<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(held) = self.db.0.take() else { return result };
        match &result {
            Ok(_) => held.pool.put(held.session, held.place),
            Err(error) => {
                let is_usable = D::leaves_session_usable(error);
                if !is_usable {
                    held.pool.suspect_idle();
                }
                held.give_up(is_usable, false);
            }
        }
        result
    }

    /// Closes the session in order.
    pub(crate) async fn close(mut self) {
        if let Some(Held { session, place, .. }) = self.db.0.take() {
            // Every statement was answered; after an error the connection is gone as well.
            let _ = session.db.close().await;
            drop(place);
        }
    }

    /// The connection is broken.
    pub(crate) fn lose(mut self) {
        if let Some(held) = self.db.0.take() {
            held.pool.suspect_idle();
        }
    }
}

impl<D: SessionDriver> Held<D> {
    /// Leaves the session, in its place, to the runtime.
    fn give_up(self, is_usable: bool, was_dropped: bool) {
        let runtime = self.pool.runtime.clone();
        runtime.spawn(self.end(is_usable, was_dropped));
    }

    /// Waits until the server has answered or ended the session. Returns it to the pool if it can be used again.
    async fn end(self, is_usable: bool, was_dropped: bool) {
        let Self { mut session, pool, place } = self;
        let is_closed = || pool.is_closed();
        let ended = wait_for_end(&mut session, pool.purpose, &pool.observer, &pool.waits, was_dropped, is_closed);
        match ended.await {
            SessionEnd::Idle if is_usable => pool.put(session, place),
            SessionEnd::Idle | SessionEnd::Answered => {
                // The server owes nothing any more; after an error the connection is gone as well.
                let _ = session.db.close().await;
                drop(place);
            }
            SessionEnd::Gone => {
                drop(session);
                drop(place);
            }
        }
    }
}

impl<D: SessionDriver> Deref for Leased<D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        &self.0.as_ref().expect(HELD).session.db
    }
}

impl<D: SessionDriver> DerefMut for Leased<D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        &mut self.0.as_mut().expect(HELD).session.db
    }
}

/// Abandons the session: the caller no longer waits, and the server may still be executing its statement.
impl<D: SessionDriver> Drop for Leased<D> {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.give_up(true, true);
        }
    }
}

impl<D: SessionDriver> fmt::Debug for Pool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("purpose", &self.0.purpose).finish_non_exhaustive()
    }
}

/// An opening that fails while the log is in use is no mistake in the URL: what was there may come back.
fn as_transient<D: SessionDriver>(error: StoreError) -> StoreError {
    if error.kind() == StoreErrorKind::Config {
        StoreError::new(StoreErrorKind::Transient, D::NAME, "connecting again").with_source(error)
    } else {
        error
    }
}

/// The error of a store that was closed.
fn closed_error(store: &'static str, doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, store, doing).with_hint("the store is closed")
}

const HELD: &str = "a lease has its session until it ends";
/// A session that was idle for longer is asked before it is used.
const UNUSED: Duration = Duration::from_secs(1);
/// The timeout of that ping, at most a third of the store's timeout.
const LONGEST_CHECK: Duration = Duration::from_secs(1);
