//! Waiting for the events of a log, and closing it.

use std::sync::Arc;

use super::audit_log::{AuditLog, Gone};
use super::deadline::from_now;
use super::error::{CloseError, RecordError, RecordErrorKind};
use super::limits::GRACE;
use crate::log_lines;
use crate::store::{StoreError, StoreErrorKind};

impl AuditLog {
    /// Waits until every event that was given to the log before is written, or has failed.
    ///
    /// # Errors
    /// If that takes longer than the write timeout (the store hangs or fails for now), or the writer is gone.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn flush(&self) -> Result<(), RecordError> {
        let Some(inner) = self.inner() else { return Ok(()) };
        // The worker takes in order: an entry behind everything else is behind all of it.
        let target = inner.queue.accepted();
        if inner.queue.owed() > 0 {
            inner.queue.hurry();
        }
        let mut settled = inner.settled.clone();
        // The worker has yet to hear of an event that it took for settled and that waits for an append again.
        let is_settled = |settled: &u64| *settled >= target && inner.queue.first() >= target;
        let settled = inner.within(inner.write_timeout + GRACE, settled.wait_for(is_settled)).await;
        match settled {
            // An error says that the worker has ended: if it was not stopped, everything is settled.
            Some(_) if !inner.queue.is_stopped() => Ok(()),
            Some(_) => Err(RecordError::new(RecordErrorKind::Stopped)),
            None => Err(RecordError::new(RecordErrorKind::Timeout)),
        }
    }

    /// Waits for running audited requests and for transactions that outlived theirs, writes the remaining events, and closes
    /// the store. From then on every handle rejects events. Closing twice is no error.
    ///
    /// Each step has a timeout: requests the [`close_timeout`](super::AuditLogBuilder::close_timeout), the remaining events and the
    /// store the write timeout each, or the close timeout if that is shorter.
    ///
    /// # Errors
    /// If requests were still running after the timeout (their events are rejected), if events could not be written, or the
    /// store could not be closed; if the runtime on which the log was opened has ended before. The error counts them.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the log may be closed or not.
    pub async fn close(&self) -> Result<(), CloseError> {
        let Some(inner) = self.inner() else { return Ok(()) };
        let before = self.stats();
        let mut left = CloseError::default();
        let is_stopped = inner.queue.is_stopped();
        if !is_stopped && inner.within(inner.close_timeout, inner.in_flight_requests.drained()).await.is_none() {
            left.unfinished_requests = inner.in_flight_requests.count();
        }
        let step = inner.close_timeout.min(inner.write_timeout) + GRACE;
        inner.queue.close(from_now(step + GRACE));
        let mut settled = inner.settled.clone();
        // Ends when the worker drops its side, which it does when the queue is empty and the store has answered.
        inner.within(step, async { while settled.changed().await.is_ok() {} }).await;
        for (id, is_told) in inner.queue.take_owed_ids() {
            if !is_told {
                inner.failure_log.note(id, &RecordError::new(RecordErrorKind::Closed));
            }
            left.owed_events.push(id);
        }
        inner.failure_log.flush();
        left.is_stopped = inner.queue.is_stopped();
        #[cfg(feature = "seal")]
        if let Some(seal) = &inner.seal {
            inner.within(step, seal.stop()).await;
        }
        let store = Arc::clone(&inner.store);
        left.store = match inner.within(step, inner.call(move || async move { store.close().await })).await {
            Some(Ok(result)) => result.err(),
            // Its runtime is gone.
            Some(Err(Gone)) => None,
            None => Some(StoreError::new(StoreErrorKind::Transient, "audit", "close").with_hint("it took too long")),
        };
        let after = self.stats();
        left.unwritten_events = (after.failed - before.failed) + (after.timed_out - before.timed_out);
        (left.queued_events, left.unanswered_events) = (after.queued, after.at_store);
        if log_lines::is_behind() {
            // On a thread of the runtime's own: this one must not wait for the subscriber.
            inner.within(step, inner.runtime.spawn_blocking(move || log_lines::flush(step))).await;
        }
        if left.is_empty() { Ok(()) } else { Err(left) }
    }
}
