//! The audited requests in flight, for which `close` waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of audited requests under way.
#[derive(Debug, Default)]
pub(crate) struct InFlightRequests {
    count: AtomicUsize,
    none: Notify,
}

impl InFlightRequests {
    pub(super) fn enter(self: &Arc<Self>) -> InFlightGuard {
        self.count.fetch_add(1, Ordering::Relaxed);
        InFlightGuard(Arc::clone(self))
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns when no audited request is under way.
    pub(super) async fn drained(&self) {
        loop {
            let none = self.none.notified();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }
}

/// One audited request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<InFlightRequests>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
