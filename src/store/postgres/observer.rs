//! A session that looks at those that were given up, while there are any.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;

use super::config::Config;
use super::connect::connect;
use super::error::DuringOperation as _;
use super::session::{Backend, SessionKind, within_timeout};
use crate::store::StoreError;

/// Asks the server what became of a session, from a session of its own.
pub(super) struct Observer {
    config: Config,
    /// At the server of the readers, if true, or at the primary.
    db: Mutex<Option<(bool, PgConnection)>>,
    watched: AtomicUsize,
}

/// The observer, for as long as a session is watched.
pub(super) struct Watch(Arc<Observer>);

/// The state of a session by the server.
pub(super) enum Sight {
    /// There is no such session.
    Gone,
    There(Wait),
    /// The server said nothing.
    Unknown,
}

/// The thing that a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Replica,
    Lock,
    /// Nothing that the server knows of: it is at work, stopped, or its answer is lost.
    Other,
}

impl Wait {
    /// The reason that an operator is given.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Replica => {
                "commits wait for a replica that does not confirm them: bring it back, or change \
                 `synchronous_standby_names`"
            }
            Self::Lock => "another session holds a lock on a table of the log: `pg_blocking_pids` names it",
            Self::Other => "the server does not answer: see what its sessions do in `pg_stat_activity`",
        }
    }
}

impl Observer {
    pub(super) fn new(config: Config) -> Arc<Self> {
        Arc::new(Self { config, db: Mutex::default(), watched: AtomicUsize::new(0) })
    }

    pub(super) fn watch(self: &Arc<Self>) -> Watch {
        self.watched.fetch_add(1, Ordering::AcqRel);
        Watch(Arc::clone(self))
    }

    async fn ask(&self, backend: &Backend, purpose: SessionKind) -> Result<Sight, StoreError> {
        let mut kept = self.db.lock().await;
        let readers = purpose == SessionKind::Read;
        let mut db = match kept.take() {
            Some((there, db)) if there == readers => db,
            _ => connect(&self.config, SessionKind::Observe { readers }).await?,
        };
        let asked = async {
            sqlx::query_as::<_, (bool, bool, bool)>(LOOK)
                .bind(backend.pid)
                .bind(&backend.started)
                .bind(purpose == SessionKind::Append)
                .fetch_optional(&mut db)
                .await
                .during(DOING)
        };
        let row = within_timeout(LOOK_WITHIN, DOING, asked).await?;
        *kept = Some((readers, db));
        Ok(match row {
            None => Sight::Gone,
            Some((true, ..)) => Sight::There(Wait::Replica),
            Some((_, true, _)) => Sight::There(Wait::Lock),
            Some(_) => Sight::There(Wait::Other),
        })
    }
}

impl Watch {
    /// Looks at a session, and ends it if nothing can come of it any more: an idle one has said all that it will say,
    /// and what is not an append may be cancelled at any time. What waits for a replica is committed, and left alone.
    pub(super) async fn look(&self, backend: &Backend, purpose: SessionKind) -> Sight {
        self.0.ask(backend, purpose).await.unwrap_or(Sight::Unknown)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.0.watched.fetch_sub(1, Ordering::AcqRel) == 1
            && let Ok(mut db) = self.0.db.try_lock()
        {
            *db = None;
        }
    }
}

/// The session is picked before anything is done to it: no other can be struck.
const LOOK: &str = "WITH given_up AS MATERIALIZED (\
        SELECT pid, state, wait_event, wait_event_type FROM pg_catalog.pg_stat_activity \
        WHERE pid = $1 AND backend_start::text = $2) \
    SELECT coalesce(wait_event = 'SyncRep', false), coalesce(wait_event_type = 'Lock', false), CASE \
        WHEN wait_event = 'SyncRep' THEN false \
        WHEN state LIKE 'idle%' THEN pg_catalog.pg_terminate_backend(pid) \
        WHEN $3 THEN false \
        ELSE pg_catalog.pg_cancel_backend(pid) END \
    FROM given_up";
const DOING: &str = "looking at a session";
const LOOK_WITHIN: Duration = Duration::from_secs(1);
