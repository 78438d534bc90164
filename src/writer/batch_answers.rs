//! The answers to the callers of a batch, and the events that follow from them.

use std::sync::Arc;

use super::batch::Batch;
use super::error::{RecordError, RecordErrorKind};
use super::started_ends;
use super::stats::add;
use super::waiter::FollowUp;
use super::worker::Worker;
use crate::event::{AuditEvent, EventId};
use crate::log_lines::log_line;
use crate::store::StoreError;

impl Worker {
    /// Answers that the batch is durable, and delivers its events to the subscribers.
    pub(super) fn accept(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        // Before the answers, which a caller may read at once.
        add(&self.counters.written, batch.waiters.iter().filter(|waiter| waiter.has_caller()).count());
        add(&self.counters.batches, 1);
        for (waiter, event) in batch.waiters.iter_mut().zip(&batch.events) {
            match waiter.accept() {
                FollowUp::Nothing => {}
                FollowUp::Release => add(&self.counters.written, usize::from(self.queue.accept_owed(event.event_id))),
                FollowUp::EndNotRun => self.end_not_run(event, waiter.number),
            }
        }
        self.counters.metrics.count_batch(&batch.events);
        self.subscribers.deliver(&mut batch.events);
    }

    /// Answers that the batch is not written.
    pub(super) fn reject(&self, batch: &mut Batch, cause: StoreError) {
        add(&self.counters.failed, batch.waiters.iter().filter(|waiter| waiter.has_caller()).count());
        let error = RecordError::store(Arc::new(cause));
        for (waiter, event) in batch.waiters.iter_mut().zip(&batch.events) {
            match waiter.reject(error.clone()) {
                FollowUp::Nothing => {}
                FollowUp::Release => self.fail_owed(event.event_id, &error),
                FollowUp::EndNotRun => self.end_not_run(event, waiter.number),
            }
        }
    }

    /// Counts and names an event that the log owed and that is not written. Callers name their own.
    fn fail_owed(&self, id: EventId, error: &RecordError) {
        if self.queue.release(id) {
            add(&self.counters.failed, 1);
            self.failure_log.note(id, error);
        }
    }

    /// Ends a `started` event that the store has, or may have, after its caller was told that it is not written.
    fn end_not_run(&self, started: &AuditEvent, number: u64) {
        self.queue.release(started.event_id);
        if self.queue.owe(started_ends::not_run(started), Some(number)).is_err() {
            let event_id = started.event_id;
            log_line(move || {
                tracing::error!(
                    %event_id,
                    "too many rejected requests wait for their end: this audit event stays open until the next start"
                );
            });
        }
    }

    /// Names the events that the log owes and did not get to write before it was closed.
    pub(super) fn give_up(&self) {
        let mut owed = self.queue.end();
        let error = RecordError::new(RecordErrorKind::Closed);
        for (waiter, event) in owed.waiters.iter_mut().zip(&owed.events) {
            waiter.reject(error.clone());
            self.fail_owed(event.event_id, &error);
        }
    }
}
