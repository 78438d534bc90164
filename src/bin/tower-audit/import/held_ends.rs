//! The ends of requests, held until the event that began the request arrives.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use tower_audit::{AuditEvent, EventId, Phase};

/// Ends of requests whose `started` event was not read yet.
///
/// An export has the newest events first, so an end comes before its `started` event. A store that gets the end alone, and `started` in a
/// later append, takes that request for open, and a later log would end it once more as `unknown`. In one append both are closed.
#[derive(Debug, Default)]
pub(crate) struct HeldEnds {
    held: HashMap<EventId, Waiting>,
    /// The ids of the `started` events that are waited for, in the order of their ends.
    order: BTreeMap<u64, EventId>,
    next_number: u64,
    events: usize,
    /// The newest `started` events that were passed on: their ends need not wait.
    begun: HashSet<EventId>,
    begun_order: VecDeque<EventId>,
}

/// The ends that wait for one `started` event.
#[derive(Debug)]
struct Waiting {
    /// The place in the order.
    number: u64,
    ends: Vec<AuditEvent>,
}

impl HeldEnds {
    /// The largest number of events that are held: ends of requests that were in progress at one time.
    const MOST: usize = 2048;

    /// Passes on an event, with the ends that have waited for it, or holds it.
    pub(crate) fn pass(&mut self, event: AuditEvent, ready: &mut Vec<AuditEvent>) {
        if event.phase == Phase::Started {
            let id = event.event_id;
            ready.push(event);
            self.release_ends_of(&id, ready);
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
                let number = self.next_number;
                let waiting = self.held.entry(started).or_insert_with(|| {
                    self.order.insert(number, started);
                    Waiting { number, ends: Vec::new() }
                });
                waiting.ends.push(event);
                self.next_number += 1;
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
        if let Some(started) = self.order.first_key_value().map(|(_, started)| *started) {
            self.release_ends_of(&started, ready);
        }
    }

    fn release_ends_of(&mut self, started: &EventId, ready: &mut Vec<AuditEvent>) {
        if let Some(Waiting { number, ends }) = self.held.remove(started) {
            self.order.remove(&number);
            self.events -= ends.len();
            ready.extend(ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_audit::EventType;

    use super::*;

    fn pair() -> (AuditEvent, AuditEvent) {
        let (mut started, mut end) = (AuditEvent::new(EventType::UPLOAD), AuditEvent::new(EventType::UPLOAD));
        started.phase = Phase::Started;
        end.request.started_event_id = Some(started.event_id);
        (started, end)
    }

    #[test]
    fn pairs_that_were_passed_on_leave_nothing_behind() {
        let (mut held, mut ready) = (HeldEnds::default(), Vec::new());
        for _ in 0..3 * HeldEnds::MOST {
            let (started, end) = pair();
            held.pass(end, &mut ready);
            held.pass(started, &mut ready);
        }
        assert_eq!(ready.len(), 6 * HeldEnds::MOST);
        assert_eq!((held.held.len(), held.order.len(), held.events), (0, 0, 0));
        assert!(held.begun.len() <= HeldEnds::MOST && held.begun_order.len() <= HeldEnds::MOST);
    }

    #[test]
    fn the_oldest_ends_go_first_beyond_the_limit() {
        let (mut held, mut ready) = (HeldEnds::default(), Vec::new());
        let ends: Vec<AuditEvent> = (0..HeldEnds::MOST + 2).map(|_| pair().1).collect();
        ends.iter().for_each(|end| held.pass(end.clone(), &mut ready));
        assert_eq!(ready, ends[..2]);
        held.release(&mut ready);
        assert_eq!(ready, ends);
    }
}
