//! The connection of a store, and the next one when it is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, NotConnected};
use super::error::{APPEND, NAME, transient};
use super::url_settings::{Login, UrlSettings};
use crate::backoff::Backoff;
use crate::random::random;
use crate::store::{StoreError, StoreErrorKind};

/// The connection of a store. The servers of the URL take turns, from a random one on, so that writers spread over them.
pub(super) struct Connections {
    state: Mutex<State>,
}

struct State {
    current: Option<Arc<Connection>>,
    next_server: usize,
    backoff: Backoff,
    /// The last failure to reach any server. Before the time, no connection is tried.
    failure: Option<(Instant, NotConnected)>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                current: None,
                next_server: (random() >> 32) as usize,
                backoff: backoff(),
                failure: None,
            }),
        }
    }

    /// Returns the open connection, or makes one.
    pub(super) async fn get(
        &self,
        settings: &UrlSettings,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Arc<Connection>, StoreError> {
        let late = || transient(operation, "no server answers in time: look at the servers and at the network");
        let mut state = timeout_at(deadline, self.state.lock()).await.map_err(|_| late())?;
        if let Some(open) = &state.current {
            if open.is_usable() {
                return Ok(Arc::clone(open));
            }
            state.current = None;
        }
        if let Some((retry_at, failure)) = &state.failure {
            if *retry_at + SHORTEST_ATTEMPT > deadline {
                return Err(failure.during(operation));
            }
            tokio::time::sleep_until(*retry_at).await;
        }
        let first = state.next_server;
        match connect(settings, &settings.login, first, deadline).await {
            Ok((connection, server)) => {
                // The next connection is to another server.
                state.next_server = server.wrapping_add(1);
                state.failure = None;
                state.backoff = backoff();
                let connection = Arc::new(connection);
                state.current = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(failure) => {
                state.next_server = first.wrapping_add(1);
                let error = failure.during(operation);
                state.failure = Some((Instant::now() + state.backoff.next_pause(), failure));
                Err(error)
            }
        }
    }

    /// Sends what is not sent yet, and closes the connection.
    pub(super) async fn close(&self) -> bool {
        match self.state.lock().await.current.take() {
            Some(connection) => !connection.is_usable() || connection.flush().await,
            None => true,
        }
    }
}

/// Tries each server once, from this one on, and returns the number of the one that was reached.
pub(super) async fn connect(
    settings: &UrlSettings,
    login: &Login,
    first: usize,
    deadline: Instant,
) -> Result<(Connection, usize), NotConnected> {
    let mut failure = None;
    for turn in 0..settings.servers.len() {
        let number = first.wrapping_add(turn);
        let server = &settings.servers[number % settings.servers.len()];
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match Connection::open(settings, login, server, left.min(CONNECT_TIMEOUT)).await {
            Ok(connection) => return Ok((connection, number)),
            Err(error) => {
                // A server that refuses the login says more than one that is not there.
                let says_more = |old: &NotConnected| old.kind == StoreErrorKind::Transient;
                if failure.as_ref().is_none_or(says_more) {
                    failure = Some(error);
                }
            }
        }
    }
    Err(failure.unwrap_or_else(NotConnected::late))
}

impl NotConnected {
    /// An append fails for now, whatever the reason: what is wrong may be mended while the log is open.
    pub(super) fn during(&self, operation: &'static str) -> StoreError {
        let kind = if operation == APPEND { StoreErrorKind::Transient } else { self.kind };
        StoreError::new(kind, NAME, operation).with_hint(self.hint.as_str())
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// With less time left, an attempt would only replace an error that says more.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_millis(200);
