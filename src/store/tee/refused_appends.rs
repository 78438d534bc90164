//! The events of refused appends that some member may have: the writer repeats them.
//!
//! Example: SQLite and the tracing sink have acknowledged an event, PostgreSQL fails for now, and the append is refused. The writer
//! repeats it. The event goes to PostgreSQL alone, so that the sink has no line twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::delivery::Delivery;
use crate::event::EventId;

/// The deliveries of one event, by member.
pub(super) type DeliveriesOfEvent = Box<[Option<Arc<Delivery>>]>;

/// The largest number of events. A log has at most about 16,000 that it may repeat.
const MAX_EVENTS: usize = 65_536;

/// The events of refused appends; the oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct RefusedAppends {
    by_id: HashMap<EventId, DeliveriesOfEvent>,
    /// The ids in the order of their arrival; some of them are gone.
    order: VecDeque<EventId>,
}

impl RefusedAppends {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn get(&self, id: EventId) -> Option<&DeliveriesOfEvent> {
        self.by_id.get(&id)
    }

    pub(super) fn insert(&mut self, id: EventId, deliveries: DeliveriesOfEvent) {
        if self.by_id.insert(id, deliveries).is_none() {
            self.order.push_back(id);
        }
        while self.by_id.len() > MAX_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        if self.order.len() > 2 * MAX_EVENTS {
            self.order.retain(|id| self.by_id.contains_key(id));
        }
    }

    pub(super) fn remove(&mut self, id: EventId) {
        self.by_id.remove(&id);
        if self.by_id.is_empty() {
            self.order.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_the_oldest() {
        let mut undecided = RefusedAppends::default();
        let id = |number: usize| EventId::from_u128(number as u128);
        for round in 0..3 {
            // Ids that come and go leave nothing behind.
            for number in 0..MAX_EVENTS {
                undecided.insert(id(number), Box::default());
                if round < 2 && number > 0 {
                    undecided.remove(id(number));
                }
            }
            assert!(undecided.order.len() <= 2 * MAX_EVENTS + 1);
        }
        undecided.insert(id(MAX_EVENTS), Box::default());
        assert_eq!(undecided.by_id.len(), MAX_EVENTS);
        assert!(undecided.get(id(0)).is_none() && undecided.get(id(MAX_EVENTS)).is_some());
    }
}
