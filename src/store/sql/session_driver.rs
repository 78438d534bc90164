//! The sessions of a server, as its store opens them and looks at them.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::{Instant, timeout_at};

use crate::store::{StoreError, StoreErrorKind};

/// A server with sessions: the part of [`Pool`](super::Pool) that differs between databases.
pub(crate) trait SessionDriver: Sized + Send + Sync + 'static {
    /// The name of the store in errors.
    const NAME: &'static str;
    type Connection: Connection + Send;
    type Config: Clone + Send + Sync + 'static;
    /// The identity of a session on its server, by which another session finds it.
    type Backend: Clone + Send + Sync + 'static;

    /// The timeout of a wait in the store.
    fn timeout(config: &Self::Config) -> Duration;

    /// Connects and makes the settings of every session.
    fn establish(
        config: &Self::Config,
        kind: SessionKind,
    ) -> impl Future<Output = Result<Session<Self>, StoreError>> + Send;

    /// Checks the tables and the durability of commits, as far as the kind of session needs it.
    fn prepare(
        db: &mut Self::Connection,
        config: &Self::Config,
        kind: SessionKind,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads the answers that the server still owes, and leaves the transaction that the session may be in. False if the
    /// connection is broken. `was_dropped`: the future of a statement was dropped before its answer.
    fn answer(db: &mut Self::Connection, was_dropped: bool) -> impl Future<Output = bool> + Send;

    /// Looks at another session, and ends it if nothing can come of it any more.
    fn look(
        db: &mut Self::Connection,
        backend: &Self::Backend,
        kind: SessionKind,
    ) -> impl Future<Output = Result<Sight, StoreError>> + Send;

    /// Returns true if the server only rejected a statement, so that the session can be used again.
    fn leaves_session_usable(error: &StoreError) -> bool;

    /// The reason for a wait, as an operator is given it.
    fn reason(wait: Wait) -> &'static str;
}

/// The purpose of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// Appends: durable or not at all, on tables of this version.
    Append,
    /// Reads, and can do nothing else.
    Read,
    /// Makes, looks after and removes.
    Admin,
    /// Holds the writer's lock.
    Lock,
    /// Looks at the other sessions of the log: at those of readers, or at the others.
    Observe { readers: bool },
}

/// A session, and the identity by which the server knows it.
pub(crate) struct Session<D: SessionDriver> {
    pub(crate) db: D::Connection,
    pub(crate) backend: D::Backend,
}

/// The state of a session by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// There is no such session.
    Gone,
    There(Wait),
    /// The server said nothing.
    Unknown,
}

/// The thing that a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Replica,
    Lock,
    /// Nothing that the server knows of: it is at work, stopped, or its answer is lost.
    Other,
}

/// Connects for one task, within the timeout of an attempt.
pub(crate) async fn connect<D: SessionDriver>(
    config: &D::Config,
    kind: SessionKind,
) -> Result<D::Connection, StoreError> {
    let until = Instant::now() + connect_timeout(D::timeout(config));
    let mut session = answered_until::<D, _>(until, D::establish(config, kind)).await?;
    answered_until::<D, _>(until, D::prepare(&mut session.db, config, kind)).await?;
    Ok(session.db)
}

/// The timeout of an attempt to connect: 3 s, or a quarter of a long timeout. A caller with a shorter timeout stops waiting
/// earlier.
pub(crate) fn connect_timeout(timeout: Duration) -> Duration {
    timeout.clamp(MIN_CONNECT_TIMEOUT, CONNECT_TIMEOUT).max(timeout / 4)
}

/// A part of an attempt to connect.
pub(super) async fn answered_until<D: SessionDriver, T>(
    until: Instant,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout_at(until, work).await.unwrap_or_else(|_| Err(unanswered(D::NAME, CONNECTING)))
}

/// Waits for the work until the timeout: a connection whose other end has vanished would keep its caller for a
/// quarter of an hour. The future is dropped then; the session that it has leased has an owner all the same
/// (`abandoned_session.rs`).
pub(crate) async fn within_timeout<T>(
    store: &'static str,
    timeout: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(unanswered(store, doing)))
}

pub(super) fn unanswered(store: &'static str, doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, store, doing).with_hint("the server did not answer in time")
}

pub(crate) const CONNECTING: &str = "connecting";
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
