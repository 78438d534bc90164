//! The servers that a URL names, tried in turn: libpq's `host=a,b` and `target_session_attrs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::{DuringOperation as _, config, transient};
use crate::store::StoreError;

/// The servers of a log, with the password: never shown.
#[derive(Clone)]
pub(super) enum Servers {
    Urls {
        servers: Arc<[PgConnectOptions]>,
        target: Option<SessionTarget>,
        /// The one that a connection was made to last: the next attempt begins there.
        last: Arc<AtomicUsize>,
    },
    /// As this pool connects, each time it is asked.
    Pool(PgPool),
}

/// The kind of server that a reader wants, by libpq's names. A writer always wants a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionTarget {
    Any,
    Primary,
    Standby,
    PreferStandby,
}

impl SessionTarget {
    pub(super) fn parse(value: &str) -> Result<Self, StoreError> {
        Ok(match value {
            "any" => Self::Any,
            "read-write" | "primary" => Self::Primary,
            "read-only" | "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => {
                return Err(config(
                    "the value of `target_session_attrs` is not one of those that it can have: any, read-write, \
                     primary, read-only, standby, prefer-standby",
                ));
            }
        })
    }
}

impl Servers {
    pub(super) fn of(servers: Vec<PgConnectOptions>, target: Option<SessionTarget>) -> Self {
        Self::Urls { servers: servers.into(), target, last: Arc::default() }
    }

    /// Connects to the first server that answers and is of the kind, each within its part of the time.
    ///
    /// A single server without a `target_session_attrs` is taken as it is: what it cannot do, its own errors say.
    pub(super) async fn connect(
        &self,
        within: Duration,
        is_to_write: bool,
        doing: &'static str,
    ) -> Result<PgConnection, StoreError> {
        let (servers, target, last) = match self {
            Self::Pool(pool) => return login(pool.connect_options().as_ref().clone()).await.during(doing),
            Self::Urls { servers, target: None, .. } if servers.len() == 1 => {
                return login(servers[0].clone()).await.during(doing);
            }
            Self::Urls { servers, target, last } => (servers, target, last),
        };
        let target = match target {
            _ if is_to_write => SessionTarget::Primary,
            Some(target) => *target,
            // A reader sees what was acknowledged before: it does not go to a standby unless it was told to.
            None => SessionTarget::Primary,
        };
        let each = within / u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
        let first = last.load(Ordering::Relaxed);
        let mut fallback = None;
        let mut failure = None;
        for turn in 0..servers.len() {
            let number = (first + turn) % servers.len();
            match tokio::time::timeout(each, of_kind(servers[number].clone())).await {
                Ok(Ok((db, is_primary))) => match (target, is_primary) {
                    (SessionTarget::Any, _)
                    | (SessionTarget::Primary, true)
                    | (SessionTarget::Standby | SessionTarget::PreferStandby, false) => {
                        last.store(number, Ordering::Relaxed);
                        return Ok(db);
                    }
                    (SessionTarget::PreferStandby, true) => fallback = Some(db),
                    (SessionTarget::Primary, false) | (SessionTarget::Standby, true) => {}
                },
                Ok(Err(error)) => failure = Some(error),
                Err(_) => failure = Some(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        }
        if let Some(db) = fallback {
            return Ok(db);
        }
        let wanted = if target == SessionTarget::Standby { "a standby" } else { "the primary" };
        let remedy = format!("none of the {} servers of the URL answered as {wanted}", servers.len());
        Err(match failure {
            // An error of all servers that a change of the URL mends, such as a refused password, is told as such.
            Some(error) => match Err::<(), _>(error).during(doing) {
                Err(error) if error.is_transient() => transient(doing).with_hint(remedy).with_source(error),
                Err(error) => error,
                Ok(()) => transient(doing).with_hint(remedy),
            },
            None => transient(doing).with_hint(remedy),
        })
    }
}

async fn login(options: PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    // Statements have the events in them.
    PgConnection::connect_with(&options.disable_statement_logging()).await
}

/// The session, and the answer to "is this a primary?". That a role presets `read only` for its sessions says nothing:
/// the log sets that itself.
async fn of_kind(options: PgConnectOptions) -> Result<(PgConnection, bool), sqlx::Error> {
    let mut db = login(options).await?;
    let is_primary =
        sqlx::query_scalar("SELECT NOT pg_catalog.pg_is_in_recovery()").persistent(false).fetch_one(&mut db).await?;
    Ok((db, is_primary))
}
