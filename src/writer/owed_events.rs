//! Events that the log itself owes, because no caller waits for them.
//!
//! They have batches of their own, so that one that the store never takes does not fail a caller's event. Example with a
//! bad event X among 100: the batch of 100 fails three times, each batch of 50, 25, 12, … with X does, and all others
//! succeed. From then on X is tried alone, at most once in [`MAX_PAUSE`].

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;
use super::limits::{MAX_BATCH_BYTES, MAX_OWED_BYTES, MAX_OWED_EVENTS};
use crate::event::EventId;

/// The events that the log owes: their ids, and those of them that wait for their next append.
#[derive(Debug)]
pub(super) struct OwedEvents {
    debts: BTreeMap<EventId, Debt>,
    bytes: usize,
    pub(super) waiting: Batch,
    /// One batch of them is at the store at most.
    is_at_store: bool,
    /// The time of the next append, and the pause after the next failure.
    next: Instant,
    pause: Duration,
    /// The size of the next batch: halved after [`TRIES`] failures, doubled after a success.
    width: usize,
    failures: u32,
}

#[derive(Debug)]
struct Debt {
    bytes: usize,
    /// The time from which the health check reports the event.
    overdue_at: Instant,
    /// Its caller was told that it is not written.
    is_told: bool,
}

/// The failures after which the next batch has half the size.
const TRIES: u32 = 3;
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The time that a batch of these waits while events of callers wait, too.
const MAX_DELAY: Duration = Duration::from_millis(100);

impl OwedEvents {
    pub(super) fn new() -> Self {
        Self {
            debts: BTreeMap::new(),
            bytes: 0,
            waiting: Batch::default(),
            is_at_store: false,
            next: Instant::now(),
            pause: MIN_PAUSE,
            width: usize::MAX,
            failures: 0,
        }
    }

    /// Registers an event. Returns false if there are too many.
    pub(super) fn register(&mut self, id: EventId, bytes: usize, overdue_at: Instant, is_told: bool) -> bool {
        if self.debts.len() >= MAX_OWED_EVENTS || self.bytes + bytes > MAX_OWED_BYTES {
            return self.debts.contains_key(&id);
        }
        if let Some(before) = self.debts.insert(id, Debt { bytes, overdue_at, is_told }) {
            self.bytes -= before.bytes;
        }
        self.bytes += bytes;
        true
    }

    /// Removes an event. Returns true if it was registered and no caller was told of it.
    pub(super) fn release(&mut self, id: EventId) -> bool {
        let debt = self.debts.remove(&id);
        self.bytes -= debt.as_ref().map_or(0, |debt| debt.bytes);
        debt.is_some_and(|debt| !debt.is_told)
    }

    pub(super) fn contains(&self, id: EventId) -> bool {
        self.debts.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.debts.len()
    }

    /// Returns the number of events that have been owed for longer than the write timeout.
    pub(super) fn overdue(&self, now: Instant) -> usize {
        self.debts.values().filter(|debt| debt.overdue_at <= now).count()
    }

    /// Removes all events. Returns their ids, and true for those whose callers were told.
    pub(super) fn take_ids(&mut self) -> Vec<(EventId, bool)> {
        self.bytes = 0;
        std::mem::take(&mut self.debts).into_iter().map(|(id, debt)| (id, debt.is_told)).collect()
    }

    /// Returns true if no event waits and none is at the store.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_at_store
    }

    /// Returns the time of the next append; none if no event waits for it.
    pub(super) fn next(&self) -> Option<Instant> {
        (!self.waiting.is_empty() && !self.is_at_store).then_some(self.next)
    }

    /// Returns true if it is time for an append. `has_others`: events of callers wait, too.
    pub(super) fn is_due(&self, now: Instant, has_others: bool) -> bool {
        let delay = if has_others { MAX_DELAY } else { Duration::ZERO };
        self.next().is_some_and(|next| next + delay <= now)
    }

    /// Tries at once: the log is closing.
    pub(super) fn hurry(&mut self) {
        (self.next, self.pause) = (Instant::now(), MIN_PAUSE);
    }

    /// Takes the next batch, which is at the store until [`end_append`](Self::end_append).
    pub(super) fn take(&mut self, max_events: usize) -> Batch {
        let count = self.waiting.front(max_events.min(self.width), MAX_BATCH_BYTES);
        let others = self.waiting.split_off(count);
        self.is_at_store = true;
        std::mem::replace(&mut self.waiting, others)
    }

    /// Ends an append of `events` that took so long, and sets the time of the next.
    pub(super) fn end_append(&mut self, events: usize, has_failed: bool, took: Duration) {
        let now = Instant::now();
        self.is_at_store = false;
        if has_failed {
            self.failures += 1;
            if self.failures.is_multiple_of(TRIES) {
                self.width = (events.min(self.width) / 2).max(1);
            }
            // An append that fails slowly must not take the store's time from callers.
            self.next = now + self.pause.max(took * 4);
            self.pause = (self.pause * 2).min(MAX_PAUSE);
        } else {
            self.failures = 0;
            self.width = self.width.saturating_mul(2);
            (self.next, self.pause) = (now, MIN_PAUSE);
        }
    }
}
