//! A few sessions of one purpose: opened when they are needed, given up when anything fails on them.
//!
//! The pool never waits for the server to come back: an attempt fails at once, and whoever called decides when to try
//! again. So service is back as soon as the server is.
//!
//! There are never more sessions on the server than places in the pool. A place is taken by whoever has a lease, and by
//! each session that was given up while the server owed it an answer (`abandoned.rs`). A session is opened by whoever
//! has a place and finds none idle.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::abandoned::{SessionEnd, Waits, wait_for_end};
use super::config::Config;
use super::connect::prepare;
use super::error::{as_transient, closed_error, leaves_session_usable};
use super::observer::Observer;
use super::session::{Session, SessionKind, answered_until, connect_until, unanswered};
use crate::store::StoreError;

/// The pool as its store has it: what was given up stops waiting when it goes.
pub(super) struct Pool(Arc<Shared>);

/// The pool as its sessions have it.
pub(super) struct Shared {
    purpose: SessionKind,
    observer: Arc<Observer>,
    /// What the sessions that were given up wait for.
    waits: Waits,
    idle: Mutex<Vec<Idle>>,
    places: Arc<Semaphore>,
    /// Where sessions that are given up are looked after.
    runtime: Handle,
}

struct Idle {
    session: Session,
    /// None: something has failed on another session meanwhile.
    since: Option<Instant>,
}

/// A session for one task. If it is not given back, the server's answer is waited for behind the caller's back.
pub(super) struct SessionLease {
    pub(super) db: Leased,
}

/// The connection of a lease.
pub(super) struct Leased(Option<Held>);

/// A session in its place.
struct Held {
    session: Session,
    pool: Arc<Shared>,
    /// Dropped after the session.
    place: OwnedSemaphorePermit,
}

impl Pool {
    /// On the current runtime.
    pub(super) fn new(purpose: SessionKind, most: usize, observer: &Arc<Observer>) -> Self {
        Self(Arc::new(Shared {
            purpose,
            observer: Arc::clone(observer),
            waits: Waits::default(),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(most)),
            runtime: Handle::current(),
        }))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// A session that is idle, or a new one.
    pub(super) async fn lease(&self, config: &Config, doing: &'static str) -> Result<SessionLease, StoreError> {
        self.0.lease(config, doing).await
    }

    /// The first session. An opening that fails is an error of the URL, not of its use.
    pub(super) async fn first(&self, config: &Config) -> Result<SessionLease, StoreError> {
        let place = self.0.place("opening the log").await?;
        self.0.open(config, place).await
    }

    /// An answer within the patience, or an error that says as much as is known of the reason.
    pub(super) async fn within<T>(
        &self,
        patience: Duration,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(patience, work).await {
            Ok(done) => done,
            Err(_) => Err(match self.0.waits.reason() {
                Some(reason) => unanswered(doing).with_hint(reason),
                None => unanswered(doing),
            }),
        }
    }

    /// Closes what is idle, and refuses what comes.
    pub(super) async fn close(&self) {
        self.0.places.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for Idle { session, .. } in idle {
            // Whatever was acknowledged is committed; there is nothing to lose.
            let _ = session.db.close().await;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.places.close();
        self.0.idle().clear();
    }
}

impl Shared {
    /// A session that is idle, or a new one.
    pub(super) async fn lease(
        self: &Arc<Self>,
        config: &Config,
        doing: &'static str,
    ) -> Result<SessionLease, StoreError> {
        loop {
            let place = self.place(doing).await?;
            let Some(Idle { session, since }) = self.idle().pop() else {
                return self.open(config, place).await.map_err(as_transient);
            };
            let mut lease = self.hold(session, place);
            if since.is_some_and(|since| since.elapsed() < UNUSED) {
                return Ok(lease);
            }
            // A firewall forgets a connection that nobody uses, and tells neither end.
            let limit = (config.timeout / 3).min(LONGEST_CHECK);
            match tokio::time::timeout(limit, lease.db.ping()).await {
                Ok(Ok(())) => return Ok(lease),
                Ok(Err(_)) => lease.lose(),
                Err(_) => {
                    drop(lease);
                    // What it has forgotten of one it has forgotten of all.
                    self.give_up_idle();
                }
            }
        }
    }

    /// A place, as soon as there is one.
    async fn place(&self, doing: &'static str) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed_error(doing))
    }

    async fn open(self: &Arc<Self>, config: &Config, place: OwnedSemaphorePermit) -> Result<SessionLease, StoreError> {
        let until = connect_until(config);
        let session = answered_until(until, Session::establish(config, self.purpose)).await?;
        let mut lease = self.hold(session, place);
        match answered_until(until, prepare(&mut lease.db, config, self.purpose)).await {
            Ok(()) => Ok(lease),
            Err(error) => lease.finish(Err(error)),
        }
    }

    fn hold(self: &Arc<Self>, session: Session, place: OwnedSemaphorePermit) -> SessionLease {
        SessionLease { db: Leased(Some(Held { session, pool: Arc::clone(self), place })) }
    }

    /// Gives back a session before its place, so that whoever gets the place finds it.
    fn put(&self, session: Session, place: OwnedSemaphorePermit) {
        if !self.is_closed() {
            self.idle().push(Idle { session, since: Some(Instant::now()) });
        }
        drop(place);
    }

    fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// What ended one session has likely ended all: the others are looked at before they are used.
    fn suspect_idle(&self) {
        for idle in &mut *self.idle() {
            idle.since = None;
        }
    }

    /// Gives up what is idle, as far as there are places for it: with all of them taken, none is opened anyway.
    fn give_up_idle(self: &Arc<Self>) {
        self.suspect_idle();
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let Some(Idle { session, .. }) = self.idle().pop() else { break };
            drop(self.hold(session, place));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionLease {
    /// Gives the session back if all went well. If not, it is looked at before it is used again, and so are those that
    /// are idle; it is closed if the error may be the session's.
    pub(super) fn finish<T>(mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(held) = self.db.0.take() else { return done };
        match &done {
            Ok(_) => held.pool.put(held.session, held.place),
            Err(error) => {
                let is_usable = leaves_session_usable(error);
                if !is_usable {
                    held.pool.suspect_idle();
                }
                held.give_up(is_usable);
            }
        }
        done
    }

    /// Closes the session in order.
    pub(super) async fn close(mut self) {
        if let Some(Held { session, place, .. }) = self.db.0.take() {
            let _ = session.db.close().await;
            drop(place);
        }
    }

    /// The connection is broken.
    pub(super) fn lose(mut self) {
        if let Some(held) = self.db.0.take() {
            held.pool.suspect_idle();
        }
    }
}

impl Held {
    /// Leaves the session, in its place, to the runtime.
    fn give_up(self, is_usable: bool) {
        let runtime = self.pool.runtime.clone();
        runtime.spawn(self.end(is_usable));
    }

    /// Waits until the server has answered or ended the session. Returns it to the pool if it can be used again.
    async fn end(self, is_usable: bool) {
        let Self { mut session, pool, place } = self;
        let is_closed = || pool.is_closed();
        match wait_for_end(&mut session, pool.purpose, &pool.observer, &pool.waits, is_closed).await {
            SessionEnd::Idle if is_usable => pool.put(session, place),
            SessionEnd::Idle | SessionEnd::Answered => {
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

impl Deref for Leased {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0.as_ref().expect(HELD).session.db
    }
}

impl DerefMut for Leased {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0.as_mut().expect(HELD).session.db
    }
}

/// Whoever had the lease no longer waits: the server may be at work all the same.
impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.give_up(true);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("purpose", &self.0.purpose).finish_non_exhaustive()
    }
}

const HELD: &str = "a lease has its session until it ends";
/// A session that was idle for longer is asked before it is used.
const UNUSED: Duration = Duration::from_secs(1);
/// How long it may take to answer, and no more than a third of the patience.
const LONGEST_CHECK: Duration = Duration::from_secs(1);
