//! The ends of requests, held until the event that began the request arrives.

use std::collections::{HashMap, HashSet, VecDeque};

use tower_audit::{AuditEvent, EventId, Phase};

/// Ends of requests whose `started` event was not read yet.
///
/// An export has the newest events first, so an end comes before its `started` event. A store that gets the end alone, and `started` in a
/// later append, takes that request for open, and a later log would end it once more as `unknown`. In one append both are closed.
#[derive(Debug, Default)]
pub(crate) struct HeldEnds {
    held: HashMap<EventId, Vec<AuditEvent>>,
    /// The ids of the `started` events that are waited for, in the order of their ends.
    order: VecDeque<EventId>,
    events: usize,
    /// The newest `started` events that were passed on: their ends need not wait.
    begun: HashSet<EventId>,
    begun_order: VecDeque<EventId>,
}

impl HeldEnds {
    /// The largest number of events that are held: ends of requests that were in progress at one time.
    const MOST: usize = 2048;

    /// Passes on an event, with the ends that have waited for it, or holds it.
    pub(crate) fn pass(&mut self, event: AuditEvent, ready: &mut Vec<AuditEvent>) {
        if event.phase == Phase::Started {
            let id = event.event_id;
            ready.push(event);
            if let Some(ends) = self.held.remove(&id) {
                self.events -= ends.len();
                ready.extend(ends);
            }
            if self.begun.insert(id) {
                self.begun_order.push_back(id);
            }
            if self.begun_order.len() > Self::MOST
                && let Some(oldest) = self.begun_order.pop_front()
            {
                self.begun.remove(&oldest);
            }
            return;
        }
        match event.request.started_event_id.filter(|started| !self.begun.contains(started)) {
            None => ready.push(event),
            Some(started) => {
                let ends = self.held.entry(started).or_default();
                if ends.is_empty() {
                    self.order.push_back(started);
                }
                ends.push(event);
                self.events += 1;
                while self.events > Self::MOST {
                    self.release_oldest(ready);
                }
            }
        }
    }

    /// Passes on everything that is held: of requests that did not begin in the source.
    pub(crate) fn release(&mut self, ready: &mut Vec<AuditEvent>) {
        while !self.order.is_empty() {
            self.release_oldest(ready);
        }
    }

    fn release_oldest(&mut self, ready: &mut Vec<AuditEvent>) {
        if let Some(started) = self.order.pop_front()
            && let Some(ends) = self.held.remove(&started)
        {
            self.events -= ends.len();
            ready.extend(ends);
        }
    }
}
