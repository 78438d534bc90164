//! The places of concurrent appends.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{Notify, Semaphore};

/// The places of concurrent appends. A batch that waits for its next try has none.
pub(super) struct AppendSlots {
    pub(super) free: Semaphore,
    pausing: AtomicUsize,
    pause_begun: Notify,
}

impl AppendSlots {
    pub(super) fn new(parallel: usize) -> Self {
        Self { free: Semaphore::new(parallel), pausing: AtomicUsize::new(0), pause_begun: Notify::new() }
    }

    /// Returns the number of batches that wait for their next try.
    pub(super) fn pausing(&self) -> usize {
        self.pausing.load(Relaxed)
    }

    /// Returns when a batch begins to wait for its next try.
    pub(super) async fn pause_begun(&self) {
        self.pause_begun.notified().await;
    }

    /// Counts a batch as pausing, until the guard is dropped.
    pub(super) fn pause(&self) -> PauseGuard<'_> {
        self.pausing.fetch_add(1, Relaxed);
        self.pause_begun.notify_one();
        PauseGuard(self)
    }
}

pub(super) struct PauseGuard<'a>(&'a AppendSlots);

impl Drop for PauseGuard<'_> {
    fn drop(&mut self) {
        self.0.pausing.fetch_sub(1, Relaxed);
    }
}
