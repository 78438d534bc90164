//! The state of a sealer, for health checks and metrics.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SealerError;
use crate::event::Timestamp;
use crate::store::{StoreError, StoreErrorKind};

/// The state of the sealer of a log; see [`AuditLog::seal_status`](crate::AuditLog::seal_status).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealStatus {
    /// The number of leaves of the tree, as far as this sealer knows it.
    pub size: u64,
    /// The time of the last step that left no event unsealed.
    pub caught_up_at: Option<Timestamp>,
    /// The error of the last step, in words.
    pub error: Option<String>,
    /// True if the sealer has stopped for good, because the tree in the store is not the one that its key has signed.
    pub is_stopped: bool,
}

/// The state, shared with the task that seals.
pub(crate) struct SharedStatus {
    state: Mutex<(SealStatus, Option<Instant>)>,
    on_caught_up: Box<dyn Fn(Timestamp) + Send + Sync>,
}

impl std::fmt::Debug for SharedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedStatus").field("state", &self.state).finish_non_exhaustive()
    }
}

impl SharedStatus {
    pub(super) fn new(on_caught_up: impl Fn(Timestamp) + Send + Sync + 'static) -> Self {
        Self { state: Mutex::default(), on_caught_up: Box::new(on_caught_up) }
    }

    pub(crate) fn get(&self) -> SealStatus {
        self.lock().0.clone()
    }

    pub(super) fn note_step(&self, size: u64, has_more: bool) {
        let now = (!has_more).then(Timestamp::now);
        {
            let (status, failing_since) = &mut *self.lock();
            status.size = size;
            status.error = None;
            *failing_since = None;
            status.caught_up_at = now.or(status.caught_up_at);
        }
        // Not under the lock: it may be the app's code.
        if let Some(now) = now {
            (self.on_caught_up)(now);
        }
    }

    /// Returns true if this is the first error of a series.
    pub(super) fn note_error(&self, error: &SealerError) -> bool {
        let (status, failing_since) = &mut *self.lock();
        let is_first = failing_since.is_none();
        failing_since.get_or_insert_with(Instant::now);
        status.error = Some(crate::store::chain(error).to_string());
        status.is_stopped |= matches!(error, SealerError::Refused(_));
        is_first
    }

    /// Fails if steps have failed for [`TOLERATED`], or the sealer has stopped.
    pub(crate) fn check(&self, store: &'static str) -> Result<(), StoreError> {
        let (status, failing_since) = &*self.lock();
        let bad = |kind| {
            let reason = status.error.as_deref().unwrap_or_default();
            Err(StoreError::new(kind, store, "health check")
                .with_hint(format!("events are stored and not sealed: {reason}")))
        };
        match failing_since {
            _ if status.is_stopped => bad(StoreErrorKind::Permanent),
            Some(since) if since.elapsed() > TOLERATED => bad(StoreErrorKind::Transient),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (SealStatus, Option<Instant>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time for which steps may fail before a health check does.
const TOLERATED: Duration = Duration::from_secs(10);
