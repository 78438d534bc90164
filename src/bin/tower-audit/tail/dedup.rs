//! Recognises events that were already shown.

use std::collections::BTreeSet;

use tower_audit::query::Cursor;
use tower_audit::{AuditEvent, Timestamp};

/// The places of the events that were shown and may be met again, and since when to look for others.
#[derive(Debug)]
pub(super) struct SeenEvents {
    shown: BTreeSet<Cursor>,
    /// The lower bound of the queries; older events are ignored.
    floor: Timestamp,
    newest: Timestamp,
    most: usize,
}

impl SeenEvents {
    /// Nothing was shown, so that everything is new.
    pub(super) fn new() -> Self {
        Self { shown: BTreeSet::new(), floor: Timestamp::MIN, newest: Timestamp::MIN, most: MAX_REMEMBERED }
    }

    pub(super) fn is_new(&self, event: &AuditEvent) -> bool {
        event.created_at >= self.floor && !self.shown.contains(&Cursor::of(event))
    }

    /// From now on the event was shown. Says whether all that should be remembered still is.
    pub(super) fn insert(&mut self, event: &AuditEvent) -> bool {
        self.newest = self.newest.max(event.created_at);
        self.shown.insert(Cursor::of(event));
        if self.shown.len() <= self.most {
            return true;
        }
        // Rather one that comes late is missed than one is shown twice.
        if let Some(forgotten) = self.shown.pop_first() {
            self.floor = self.floor.max(plus(forgotten.created_at, 1));
        }
        false
    }

    /// Since when to look, to find what became visible this much later than its time says.
    pub(super) fn since(&self, back_micros: i64, now: Timestamp) -> Timestamp {
        plus(self.newest_time(now), -back_micros).max(self.floor)
    }

    /// Forgets what is too old to be met again.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.floor = self.since(LATE_EVENT_MICROS, now);
        while self.shown.first().is_some_and(|place| place.created_at < self.floor) {
            self.shown.pop_first();
        }
    }

    /// Returns the time of the newest event, but no later than `now`: another clock may be ahead, and a single event
    /// may have a wrong time.
    fn newest_time(&self, now: Timestamp) -> Timestamp {
        self.newest.min(now)
    }
}

fn plus(moment: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(moment.as_micros() + micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// The age up to which events that become visible late are printed: 60 seconds, and 10 until the next query that
/// reaches back so far.
pub(super) const LATE_EVENT_MICROS: i64 = 70_000_000;

/// About 8 MB.
const MAX_REMEMBERED: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;
    use tower_audit::EventType;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn event(micros: i64) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.created_at = at(micros);
        event
    }

    #[test]
    fn an_event_is_new_once() {
        let mut seen = SeenEvents::new();
        let (first, second) = (event(10), event(10));
        assert!(seen.is_new(&first) && seen.insert(&first));
        assert!(!seen.is_new(&first) && seen.is_new(&second));
    }

    #[test]
    fn what_is_remembered_is_what_may_be_met_again() {
        let mut seen = SeenEvents::new();
        let newest = 10 * LATE_EVENT_MICROS;
        for micros in [newest - LATE_EVENT_MICROS - 1, newest - LATE_EVENT_MICROS, newest] {
            seen.insert(&event(micros));
        }
        seen.forget(at(newest + 5));
        assert_eq!(seen.shown.len(), 2);
        assert_eq!(seen.since(LATE_EVENT_MICROS, at(newest + 5)), at(newest - LATE_EVENT_MICROS));
        assert!(!seen.is_new(&event(newest - LATE_EVENT_MICROS - 1)), "it is met no more");
    }

    #[test]
    fn an_event_of_the_future_hides_none_of_the_present() {
        let mut seen = SeenEvents::new();
        let now = at(10 * LATE_EVENT_MICROS);
        seen.insert(&event(1000 * LATE_EVENT_MICROS));
        seen.forget(now);
        assert!(seen.since(LATE_EVENT_MICROS, now) < now);
        assert_eq!(seen.shown.len(), 1, "it is met again and again");
    }

    #[test]
    fn a_clock_that_is_behind_hides_nothing() {
        let mut seen = SeenEvents::new();
        seen.insert(&event(5));
        seen.forget(at(100 * LATE_EVENT_MICROS));
        assert!(seen.is_new(&event(6)));
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_shown_twice() {
        let mut seen = SeenEvents { most: 2, ..SeenEvents::new() };
        let events = [event(1), event(2), event(3)];
        assert_eq!(events.each_ref().map(|event| seen.insert(event)), [true, true, false]);
        assert!(events.iter().all(|event| !seen.is_new(event)));
        assert_eq!(seen.shown.len(), 2);
    }
}
