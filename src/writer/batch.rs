//! Events and their waiters.

use super::waiter::Waiter;
use crate::event::AuditEvent;

/// Events and their waiters: `events[i]` belongs to `waiters[i]`.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<AuditEvent>,
    pub(super) waiters: Vec<Waiter>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn push(&mut self, event: AuditEvent, waiter: Waiter) {
        self.events.push(event);
        self.waiters.push(waiter);
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.waiters.clear();
    }

    /// Returns the memory of the events.
    pub(super) fn bytes(&self) -> usize {
        self.waiters.iter().map(|waiter| waiter.bytes).sum()
    }

    /// Returns the number of the first event, if the events are in their order; the largest number if there is none.
    pub(super) fn first(&self) -> u64 {
        self.waiters.first().map_or(u64::MAX, |waiter| waiter.number)
    }

    /// Returns the lowest number, whatever the order; the largest number if there is no event.
    pub(super) fn lowest(&self) -> u64 {
        self.waiters.iter().map(|waiter| waiter.number).min().unwrap_or(u64::MAX)
    }

    /// Returns true if a caller waits for one of the events.
    pub(super) fn has_callers(&self) -> bool {
        self.waiters.iter().any(Waiter::has_caller)
    }

    /// Removes the events that have been answered.
    pub(super) fn remove_answered(&mut self) {
        if !self.waiters.iter().all(Waiter::is_pending) {
            self.extract(|waiter, _| !waiter.is_pending());
        }
    }

    /// Removes the events that pass, and returns them.
    pub(super) fn extract(&mut self, mut is_extracted: impl FnMut(&Waiter, &AuditEvent) -> bool) -> Self {
        let pairs = self.waiters.iter().zip(&self.events);
        let extracted: Vec<bool> = pairs.map(|(waiter, event)| is_extracted(waiter, event)).collect();
        let mut is_next = extracted.iter();
        let waiters = self.waiters.extract_if(.., |_| *is_next.next().unwrap_or(&false)).collect();
        let mut is_next = extracted.iter();
        let events = self.events.extract_if(.., |_| *is_next.next().unwrap_or(&false)).collect();
        Self { events, waiters }
    }

    /// Removes the events from `at` on, and returns them.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self { events: self.events.split_off(at), waiters: self.waiters.split_off(at) }
    }

    /// Returns the number of events at the front that fit in a batch of this count and memory; at least one.
    pub(super) fn front(&self, max_events: usize, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fits = |waiter: &&Waiter| {
            bytes += waiter.bytes;
            bytes <= max_bytes
        };
        // No event is larger than a batch.
        self.waiters.iter().take(max_events).take_while(fits).count().max(1)
    }
}
