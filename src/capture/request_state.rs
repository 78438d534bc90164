//! The state of a request, shared by all layers that see the same one.
//!
//! A layer that sees a request makes an [`Attempt`] of its own: one run of everything inside of it. Nested layers make a
//! chain of attempts; a layer in between that retries makes several side by side. Of each log, the attempt nearest to
//! the handler records the end of its run. The attempts around it make sure that no response leaves unrecorded:
//!
//! ```text
//! 0  outer layer                     `started`; the response carries the mark of attempt 2: nothing to record
//! 1    └ retry ─▶ inner layer        takes over the outer layer's `started`; 503, and an event
//! 2    └ retry ─▶ inner layer        its own `started`; 200, and an event; marks the response
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::layer_attempt::{Attempt, AttemptStage};
use super::layer_attempts::Attempts;

/// One request, shared by all layers that see it.
pub(crate) struct RequestState {
    /// Unique in the process.
    id: u64,
    attempts: Mutex<Attempts>,
    /// One of them is cancelled: most handlers are polled without a look at them.
    has_cancelled: AtomicBool,
    /// Wakes the layers that wait for an attempt to be settled.
    settled: Notify,
}

impl RequestState {
    pub(super) fn new(first: Attempt) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let attempts = Attempts::new(first);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            attempts: Mutex::new(attempts),
            has_cancelled: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Attempts> {
        // Nothing under this lock panics half way through a change.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cancel(&self, attempt: usize) {
        self.lock()[attempt].is_cancelled = true;
        self.has_cancelled.store(true, Ordering::Release);
    }

    /// Cancels the attempt if one of its log around it is cancelled. Returns true if it is cancelled then.
    pub(super) fn cancel_with_outer(&self, attempt: usize) -> bool {
        if !self.has_cancelled.load(Ordering::Acquire) {
            return false;
        }
        let mut attempts = self.lock();
        attempts[attempt].is_cancelled = attempts.is_cancelled(attempt);
        attempts[attempt].is_cancelled
    }

    #[inline]
    pub(super) fn is_cancelled(&self, attempt: usize) -> bool {
        self.has_cancelled.load(Ordering::Acquire) && self.lock()[attempt].is_cancelled
    }

    /// Settles an attempt, unless it is settled already. Returns true if the request has others.
    pub(super) fn settle(&self, attempt: usize, stage: AttemptStage) -> bool {
        let mut attempts = self.lock();
        let are_many = attempts.has_others();
        if attempts[attempt].stage.is_settled() {
            return are_many;
        }
        attempts[attempt].stage = stage;
        // Its parts keep the server's read buffer alive.
        let head = attempts[attempt].head.take();
        if stage == AttemptStage::Silent
            && let Some(started) = attempts[attempt].started.take()
            && let Some(outer) = attempts[attempt].outer
        {
            attempts[outer].started.get_or_insert(started);
        }
        drop(attempts);
        drop(head);
        if are_many {
            self.settled.notify_waiters();
        }
        are_many
    }

    /// Waits until none of the attempts within this one is about to record its end.
    pub(super) async fn inner_attempts_settled(&self, attempt: usize) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if !self.lock().within(attempt).any(|(_, within)| within.is_awaited()) {
                return;
            }
            settled.await;
        }
    }
}
