//! The state of a sealer, for health checks and metrics.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

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
    /// The time since then, or since the sealer began: no event that waits for its leaf is older, unless it was committed late.
    pub unsealed_for: Duration,
    /// The error of the last step, in words.
    pub error: Option<String>,
    /// True if the sealer has stopped for good, because the tree in the store is not the one that its key has signed.
    pub is_stopped: bool,
}

/// The state, shared with the task that seals.
pub(crate) struct SharedStatus {
    state: Mutex<State>,
    on_caught_up: Box<dyn Fn(Option<Timestamp>) + Send + Sync>,
}

#[derive(Debug)]
struct State {
    status: SealStatus,
    /// The start, or the end of the last step that left no event unsealed.
    caught_up: Instant,
    /// The end of the last step that did not fail.
    stepped: Instant,
    is_failing: bool,
}

impl std::fmt::Debug for SharedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedStatus").field("state", &self.state).finish_non_exhaustive()
    }
}

impl SharedStatus {
    pub(super) fn new(on_caught_up: impl Fn(Option<Timestamp>) + Send + Sync + 'static) -> Self {
        let now = Instant::now();
        let state = State { status: SealStatus::default(), caught_up: now, stepped: now, is_failing: false };
        Self { state: Mutex::new(state), on_caught_up: Box::new(on_caught_up) }
    }

    pub(crate) fn get(&self) -> SealStatus {
        let state = self.lock();
        SealStatus { unsealed_for: state.caught_up.elapsed(), ..state.status.clone() }
    }

    pub(super) fn note_step(&self, size: u64, has_more: bool) {
        let now = (!has_more).then(Timestamp::now);
        {
            let state = &mut *self.lock();
            state.status.size = size;
            state.status.error = None;
            state.status.caught_up_at = now.or(state.status.caught_up_at);
            state.is_failing = false;
            state.stepped = Instant::now();
            if !has_more {
                state.caught_up = state.stepped;
            }
        }
        // Not under the lock: it may be the app's code.
        if now.is_some() {
            (self.on_caught_up)(now);
        }
    }

    /// Notes the end of the sealer, behind its last step.
    pub(super) fn note_end(&self) {
        let is_failing = self.lock().is_failing;
        if !is_failing {
            (self.on_caught_up)(None);
        }
    }

    /// Returns true if this is the first error of a series.
    pub(super) fn note_error(&self, error: &SealerError) -> bool {
        let State { status, is_failing, .. } = &mut *self.lock();
        status.error = Some(crate::store::chain(error).to_string());
        status.is_stopped |= matches!(error, SealerError::Refused(_));
        !std::mem::replace(is_failing, true)
    }

    /// Fails if no step has succeeded for [`TOLERATED`], or the sealer has stopped. A step that hangs does not succeed.
    pub(crate) fn check(&self, store: &'static str) -> Result<(), StoreError> {
        let State { status, stepped, .. } = &*self.lock();
        let bad = |kind| {
            let reason = status.error.as_deref().unwrap_or("the store does not answer the sealer");
            let seconds = stepped.elapsed().as_secs();
            Err(StoreError::new(kind, store, "health check")
                .with_hint(format!("events are stored and have not been sealed for {seconds} s: {reason}")))
        };
        if status.is_stopped {
            bad(StoreErrorKind::Permanent)
        } else if stepped.elapsed() > TOLERATED {
            bad(StoreErrorKind::Transient)
        } else {
            Ok(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time for which steps may fail or hang before a health check fails.
const TOLERATED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::Refusal;

    #[tokio::test(start_paused = true)]
    async fn a_sealer_that_hangs_or_fails_is_not_healthy() {
        let status = SharedStatus::new(|_| ());
        let pass = async |seconds| tokio::time::advance(Duration::from_secs(seconds)).await;
        pass(9).await;
        assert!(status.check("test").is_ok());
        status.note_step(7, true);
        pass(9).await;
        assert!(status.check("test").is_ok(), "it goes on, and has more to seal");
        assert_eq!(status.get().unsealed_for, Duration::from_secs(18));
        status.note_step(9, false);
        assert_eq!((status.get().size, status.get().unsealed_for), (9, Duration::ZERO));
        pass(11).await;
        let error = status.check("test").unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("for 11 s: the store does not answer"), "{error}");
        let failed = || SealerError::Store(StoreError::new(StoreErrorKind::Transient, "test", "sealing"));
        assert!(status.note_error(&failed()) && !status.note_error(&failed()), "the first of a series");
        assert!(status.check("test").is_err());
        status.note_step(9, false);
        assert!(status.check("test").is_ok());
        status.note_error(&SealerError::Refused(Refusal::Unsupported));
        status.note_step(9, false);
        assert!(!status.check("test").unwrap_err().is_transient(), "stopped for good");
    }
}
