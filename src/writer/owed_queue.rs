//! The part of the queue that holds the events that the log owes.

use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;
use super::owed_events::{DebtCaller, HeldEvent};
use super::queue::{Intake, Queue, weight};
use super::waiter::Waiter;
use crate::event::{BoundedEvent, EventId};

impl Queue {
    /// Queues an event that the log owes, with the number of the event that it ends, if it ends one. Returns the event if
    /// the log owes too many, or the worker has ended.
    pub(super) fn owe(&self, event: BoundedEvent, number: Option<u64>) -> Result<(), BoundedEvent> {
        let bytes = weight(&event);
        let mut state = self.lock();
        let overdue_at = Instant::now() + self.limits.timeout;
        if state.intake == Intake::Stopped
            || state.is_over
            || !state.owed.register(event.event_id, bytes, overdue_at, DebtCaller::Left)
        {
            return Err(event);
        }
        let number = number.unwrap_or_else(|| {
            state.accepted += 1;
            state.accepted - 1
        });
        state.owed.put_behind(*event.into_inner(), Waiter::of_log(number, bytes));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Ends the hold of an event whose caller has read its refusal: the log owes it if the client has left.
    pub(super) fn hear(&self, id: EventId, has_left: bool) -> HeldEvent {
        let overdue_at = Instant::now() + self.limits.timeout;
        let mut state = self.lock();
        let held = state.owed.hear(id, has_left, overdue_at);
        // A held event counts as settled. One that is owed waits for an append again.
        state.is_unsettled_again |= held == HeldEvent::Owed;
        drop(state);
        self.filled.notify_one();
        held
    }

    /// Removes an event that is durable from those that the log owes. Returns true if it was one that no caller was told of.
    pub(super) fn accept_owed(&self, id: EventId) -> bool {
        self.lock().owed.accept(id)
    }

    /// Removes an event from those that the log owes. Returns true if it was one that no caller was told of.
    pub(super) fn release(&self, id: EventId) -> bool {
        self.lock().owed.release(id)
    }

    /// Returns the number of events that the log owes.
    pub(super) fn owed(&self) -> usize {
        self.lock().owed.len()
    }

    /// Returns the number of events that the log has owed for longer than its timeout.
    pub(super) fn overdue(&self) -> usize {
        self.lock().owed.overdue(Instant::now())
    }

    /// Releases all events that the log owes. Returns their ids, and true for those whose callers were told.
    pub(super) fn take_owed_ids(&self) -> Vec<(EventId, bool)> {
        self.lock().owed.take_ids()
    }

    /// Queues events that only the log waits for again. Returns those that are too many.
    pub(super) fn put_behind(&self, batch: Batch) -> Batch {
        let overdue_at = Instant::now() + self.limits.timeout;
        let mut rejected = Batch::default();
        let mut state = self.lock();
        for (event, waiter) in batch.events.into_iter().zip(batch.waiters) {
            if waiter.is_refused() {
                state.owed.register(event.event_id, waiter.bytes, overdue_at, DebtCaller::Told);
            }
            // The caller of a held event may have let go of it.
            if let Some((event, waiter)) = state.owed.put_behind(event, waiter)
                && waiter.is_refused()
            {
                rejected.push(event, waiter);
            }
        }
        drop(state);
        self.filled.notify_one();
        rejected
    }

    /// Tries the events that the log owes at once.
    pub(super) fn hurry(&self) {
        self.lock().owed.hurry();
        self.filled.notify_one();
    }

    /// Ends an append of events that the log owes.
    pub(super) fn end_owed_append(&self, events: usize, has_failed: bool, took: Duration) {
        self.lock().owed.end_append(events, has_failed, took);
        self.filled.notify_one();
    }

    /// Removes the owed events that wait for their next append, and returns them. The worker ends: the log owes no more.
    pub(super) fn end(&self) -> Batch {
        let mut state = self.lock();
        state.is_over = true;
        state.owed.take_all()
    }
}
