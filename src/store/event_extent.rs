//! The number of events that pass a filter, and the times of the first and the last.
//!
//! It asks for counts by time and for nothing else: an account that may only purge sees no more of an event than its
//! time.

use serde_json::{Map, Value};

use super::{Reader, StoreError};
use crate::event::Timestamp;
use crate::query::{Buckets, Filter};

/// The number of events that pass a filter, and the times of the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventExtent {
    /// The number of events, at least 1.
    pub events: u64,
    /// The time of the oldest event.
    pub first: Timestamp,
    /// The time of the newest event.
    pub last: Timestamp,
}

impl EventExtent {
    /// Counts the events that pass `filter`; none if there is no event.
    ///
    /// Counts them about three times, over an index of the times. Events that are purged meanwhile leave the bounds at the
    /// last known ones.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn of(reader: &dyn Reader, filter: &Filter) -> Result<Option<Self>, StoreError> {
        let since = filter.since.unwrap_or(Timestamp::MIN).as_micros();
        // The last moment of time is before this.
        let until = filter.until.map_or(Timestamp::MAX.as_micros() + 1, Timestamp::as_micros);
        let whole = Span { since, until };
        let Some((events, mut first, mut last)) = whole.narrowed(reader, filter).await? else { return Ok(None) };
        while first.length() > 1
            && let Some((_, narrower, _)) = first.narrowed(reader, filter).await?
        {
            first = narrower;
        }
        while last.length() > 1
            && let Some((_, _, narrower)) = last.narrowed(reader, filter).await?
        {
            last = narrower;
        }
        Ok(Some(Self { events, first: first.begin(), last: last.begin() }))
    }

    /// Writes the range into the details of an event, as `events`, `first` and `last`.
    pub fn write_to(&self, details: &mut Map<String, Value>) {
        details.insert("events".into(), self.events.into());
        details.insert("first".into(), self.first.to_string().into());
        details.insert("last".into(), self.last.to_string().into());
    }
}

/// From `since` to before `until`, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    since: i64,
    until: i64,
}

impl Span {
    /// Returns the number of events in the span and its parts with the first and the last of them; none if there is no
    /// event.
    async fn narrowed(self, reader: &dyn Reader, filter: &Filter) -> Result<Option<(u64, Self, Self)>, StoreError> {
        let width = (self.length() + MOST - 1) / MOST;
        let count = usize::try_from((self.length() + width - 1) / width.max(1)).unwrap_or(usize::MAX);
        let Some(buckets) = Buckets::new(self.begin(), width, count) else { return Ok(None) };
        let counts = reader.histogram(filter, &buckets).await?;
        let has_events = |events: &u64| *events > 0;
        let (Some(first), Some(last)) = (counts.iter().position(has_events), counts.iter().rposition(has_events))
        else {
            return Ok(None);
        };
        let part = |bucket| {
            let since = buckets.start_of(bucket).as_micros();
            Self { since, until: (since + width).min(self.until) }
        };
        Ok(Some((counts.iter().sum(), part(first), part(last))))
    }

    fn length(self) -> i64 {
        self.until - self.since
    }

    fn begin(self) -> Timestamp {
        Timestamp::from_micros(self.since).unwrap_or(Timestamp::MAX)
    }
}

const MOST: i64 = Buckets::MAX_COUNT as i64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AuditEvent, EventType};
    use crate::store::{AuditStore as _, MemoryStore};

    #[tokio::test]
    async fn the_extent_is_exact_to_the_ends_of_time() {
        let store = MemoryStore::new();
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let (least, most) = (Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
        let times = [least, least + 1, 1_000_000, 1_000_001, 2_000_000, most - 1, most];
        let mut events: Vec<_> = times.iter().map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        for (event, time) in events.iter_mut().zip(times) {
            event.created_at = at(time);
        }
        store.append(&events).await.unwrap();
        for (since, until, expected) in [
            (None, None, Some((7, least, most))),
            (None, Some(1_000_000), Some((2, least, least + 1))),
            (Some(1_000_000), Some(1_000_001), Some((1, 1_000_000, 1_000_000))),
            (Some(1_000_002), Some(1_000_003), None),
            (Some(1_000_003), Some(1_000_002), None),
            (Some(1_000_000), Some(1_000_002), Some((2, 1_000_000, 1_000_001))),
            (Some(2), None, Some((5, 1_000_000, most))),
            (Some(2), Some(1_000_000), None),
            (Some(most - 1), None, Some((2, most - 1, most))),
        ] {
            let filter = Filter::new().since(since.map(at)).until(until.map(at));
            let found = EventExtent::of(&store, &filter).await.unwrap();
            let found = found.map(|it| (it.events, it.first.as_micros(), it.last.as_micros()));
            assert_eq!(found, expected, "{since:?} {until:?}");
        }
    }
}
