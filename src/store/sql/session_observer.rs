//! A session that looks at those that were given up, while there are any.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::session_driver::{SessionDriver, SessionKind, Sight, connect, within_timeout};
use crate::store::StoreError;

/// Asks the server what became of a session, from a session of its own.
pub(crate) struct SessionObserver<D: SessionDriver> {
    config: D::Config,
    /// At the server of the readers, if true, or at the primary.
    db: Mutex<Option<(bool, D::Connection)>>,
    watched: AtomicUsize,
}

/// The observer, for as long as a session is watched.
pub(super) struct Watch<D: SessionDriver>(Arc<SessionObserver<D>>);

impl<D: SessionDriver> SessionObserver<D> {
    pub(crate) fn new(config: D::Config) -> Arc<Self> {
        Arc::new(Self { config, db: Mutex::default(), watched: AtomicUsize::new(0) })
    }

    pub(super) fn watch(self: &Arc<Self>) -> Watch<D> {
        self.watched.fetch_add(1, Ordering::AcqRel);
        Watch(Arc::clone(self))
    }

    async fn ask(&self, backend: &D::Backend, kind: SessionKind) -> Result<Sight, StoreError> {
        let mut kept = self.db.lock().await;
        let readers = kind == SessionKind::Read;
        let mut db = match kept.take() {
            Some((there, db)) if there == readers => db,
            _ => connect::<D>(&self.config, SessionKind::Observe { readers }).await?,
        };
        let sight = within_timeout(D::NAME, LOOK_WITHIN, DOING, D::look(&mut db, backend, kind)).await?;
        *kept = Some((readers, db));
        Ok(sight)
    }
}

impl<D: SessionDriver> Watch<D> {
    /// Looks at a session, and ends it if nothing can come of it any more: an idle one has said all that it will say,
    /// and what is not an append may be cancelled at any time. What waits for a replica is committed, and left alone.
    pub(super) async fn look(&self, backend: &D::Backend, kind: SessionKind) -> Sight {
        self.0.ask(backend, kind).await.unwrap_or(Sight::Unknown)
    }
}

impl<D: SessionDriver> Drop for Watch<D> {
    fn drop(&mut self) {
        if self.0.watched.fetch_sub(1, Ordering::AcqRel) == 1
            && let Ok(mut db) = self.0.db.try_lock()
        {
            *db = None;
        }
    }
}

const DOING: &str = "looking at a session";
const LOOK_WITHIN: Duration = Duration::from_secs(1);
