//! The events of one append to a member, and of its tries.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::delivery::{Delivery, Failure};
use super::lane::{Lane, Queued};
use crate::event::{AuditEvent, EventId};

/// Deliveries that are appended together.
pub(super) struct AppendBatch<'l> {
    lane: &'l Lane,
    events: BatchEvents,
    deliveries: Vec<BatchDelivery>,
    /// The events that are neither accepted nor rejected, in parts that are tried alone.
    pub(super) parts: VecDeque<Part>,
}

/// A part of a batch.
pub(super) struct Part {
    pub(super) range: Range<usize>,
    /// Its tries that failed for now.
    pub(super) tries: u32,
    /// Of a single event that failed often: the further tries that failed while the member took another part.
    pub(super) refusals: u32,
}

enum BatchEvents {
    /// Of one delivery: shared with the other members.
    Shared(Arc<[AuditEvent]>),
    /// Of several.
    Own(Vec<AuditEvent>),
}

struct BatchDelivery {
    delivery: Arc<Delivery>,
    range: Range<usize>,
    bytes: usize,
    /// The number of events that are neither accepted nor rejected.
    left: usize,
}

/// Gives up what is left of a batch whose worker is dropped: its runtime has ended.
impl Drop for AppendBatch<'_> {
    fn drop(&mut self) {
        self.reject_all(&Failure::transient("its runtime has ended"));
    }
}

impl<'l> AppendBatch<'l> {
    pub(super) fn of(lane: &'l Lane, queued: Vec<Queued>) -> Self {
        let events = match queued.as_slice() {
            [single] => BatchEvents::Shared(Arc::clone(&single.events)),
            several => BatchEvents::Own(several.iter().flat_map(|queued| queued.events.iter().cloned()).collect()),
        };
        let mut batch = Self { lane, events, deliveries: Vec::new(), parts: VecDeque::new() };
        batch.add_deliveries(queued, 0);
        batch
    }

    /// Adds deliveries, whose events are a part of their own.
    pub(super) fn extend(&mut self, queued: Vec<Queued>) {
        if queued.is_empty() {
            return;
        }
        let first = self.events().len();
        let mut events = self.events().to_vec();
        events.extend(queued.iter().flat_map(|queued| queued.events.iter().cloned()));
        self.events = BatchEvents::Own(events);
        self.add_deliveries(queued, first);
    }

    fn add_deliveries(&mut self, queued: Vec<Queued>, first: usize) {
        let mut end = first;
        for Queued { events, bytes, delivery } in queued {
            let range = end..end + events.len();
            end = range.end;
            self.deliveries.push(BatchDelivery { delivery, left: range.len(), range, bytes });
        }
        self.parts.push_back(Part::new(first..end));
    }

    fn events(&self) -> &[AuditEvent] {
        match &self.events {
            BatchEvents::Shared(events) => events,
            BatchEvents::Own(events) => events,
        }
    }

    /// Returns the events of a part.
    pub(super) fn part(&self, part: &Part) -> &[AuditEvent] {
        self.events().get(part.range.clone()).unwrap_or_default()
    }

    /// Notes that the member has a part.
    pub(super) fn accept(&mut self, part: &Part) {
        self.settle(part);
    }

    /// Notes a try of a part that failed for now.
    pub(super) fn note_failure(&self, part: &Part, failure: &Failure) {
        for one in self.deliveries.iter().filter(|one| overlap(&one.range, &part.range) > 0) {
            one.delivery.note_failure(failure);
        }
    }

    /// Notes a failure that concerns everything that is left.
    pub(super) fn note_failure_of_all(&self, failure: &Failure) {
        self.deliveries.iter().for_each(|one| one.delivery.note_failure(failure));
    }

    /// Gives a part up.
    pub(super) fn reject(&mut self, part: &Part, failure: &Failure) {
        let mut lost: Vec<EventId> = Vec::new();
        for one in &self.deliveries {
            let range = one.range.start.max(part.range.start)..one.range.end.min(part.range.end);
            for event in self.events().get(range).unwrap_or_default() {
                if one.delivery.reject(event.event_id, failure) {
                    lost.push(event.event_id);
                }
            }
        }
        self.lane.lose(&lost, &failure.text);
        self.settle(part);
    }

    /// Gives up everything that is left.
    pub(super) fn reject_all(&mut self, failure: &Failure) {
        while let Some(part) = self.parts.pop_front() {
            self.reject(&part, failure);
        }
    }

    /// Settles the deliveries of which nothing is left.
    fn settle(&mut self, part: &Part) {
        for one in &mut self.deliveries {
            let settled = overlap(&one.range, &part.range);
            one.left -= settled;
            if settled > 0 && one.left == 0 {
                self.lane.settle(&one.delivery, one.range.len(), one.bytes);
            }
        }
        self.deliveries.retain(|one| one.left > 0);
    }
}

impl Part {
    fn new(range: Range<usize>) -> Self {
        Self { range, tries: 0, refusals: 0 }
    }

    pub(super) fn is_single(&self) -> bool {
        self.range.len() == 1
    }

    /// Halves it. The tries begin anew.
    pub(super) fn halves(self) -> [Self; 2] {
        let middle = self.range.start + self.range.len() / 2;
        [self.range.start..middle, middle..self.range.end].map(Self::new)
    }
}

/// Returns the number of events in both.
fn overlap(one: &Range<usize>, other: &Range<usize>) -> usize {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}
