//! The time buckets of the statistics.

use tower_audit::Timestamp;
use tower_audit::query::{Buckets, Filter};
use tower_audit::store::{Reader, StoreError};

use crate::args::Interval;
use tower_audit::store::EventExtent;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The maximum number of buckets of `auto`.
const MAX_BUCKETS: usize = 40;

/// The first and the last moment that matter: those of the filter, else those of the events. None if there is no event.
///
/// An end in the future is taken for now, unless there are events of it.
pub(super) async fn of_events(
    reader: &dyn Reader,
    filter: &Filter,
    now: Timestamp,
) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
    let Some(EventExtent { first, last, .. }) = EventExtent::of(reader, filter).await? else { return Ok(None) };
    // `until` is exclusive: the last microsecond that counts is the one before it.
    let until = filter.until.and_then(|until| Timestamp::from_micros(until.as_micros() - 1));
    Ok(Some((filter.since.unwrap_or(first), until.map_or(last, |until| until.min(now)).max(last))))
}

/// The stretches from `first` to `last`, both included; none if there are too many.
pub(super) fn buckets(first: Timestamp, last: Timestamp, by: Interval) -> Option<Buckets> {
    let width = match by {
        Interval::Auto => {
            let after_last = Timestamp::from_micros(last.as_micros() + 1).unwrap_or(Timestamp::MAX);
            return Buckets::covering(first, after_last, MAX_BUCKETS);
        }
        Interval::Second => SECOND,
        Interval::Minute => MINUTE,
        Interval::Hour => HOUR,
        Interval::Day => DAY,
        Interval::Week => WEEK,
    };
    let start = aligned(first, width).max(Timestamp::MIN.as_micros());
    let count = count(start, last, width);
    Buckets::new(Timestamp::from_micros(start)?, width, usize::try_from(count).ok()?)
}

fn count(start: i64, last: Timestamp, width: i64) -> i64 {
    (last.as_micros() - start) / width + 1
}

/// Returns the start of the bucket of `moment`. Weeks begin on Mondays, and shorter buckets are aligned with them.
fn aligned(moment: Timestamp, width: i64) -> i64 {
    // The first of 1970 was a Thursday.
    const MONDAY: i64 = -3 * DAY;
    (moment.as_micros() - MONDAY).div_euclid(width) * width + MONDAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_audit::store::{AuditStore as _, MemoryStore};
    use tower_audit::{AuditEvent, EventType};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn stretches_begin_where_people_expect() {
        let (first, last) = (at("2026-05-27T10:20:30Z"), at("2026-06-02T00:00:00Z"));
        for (by, start, count) in [
            (Interval::Hour, "2026-05-27T10:00:00Z", 135),
            (Interval::Day, "2026-05-27T00:00:00Z", 7),
            (Interval::Week, "2026-05-25T00:00:00Z", 2),
        ] {
            let buckets = buckets(first, last, by).unwrap();
            assert_eq!((buckets.start(), buckets.len()), (at(start), count), "{by:?}");
        }
        assert_eq!(buckets(first, last, Interval::Minute), None, "8,000 minutes");
    }

    #[test]
    fn automatic_stretches_are_few_and_cover_all() {
        let first = at("2026-05-27T10:20:30Z");
        for micros in [0, 1, SECOND, 39 * SECOND, MINUTE, HOUR, DAY, WEEK, 52 * WEEK, 500 * 52 * WEEK] {
            let last = Timestamp::from_micros(first.as_micros() + micros).unwrap();
            let buckets = buckets(first, last, Interval::Auto).unwrap();
            assert!(buckets.len() <= 40, "{micros}");
            assert!(
                buckets.index_of(first) == Some(0) && buckets.index_of(last) == Some(buckets.len() - 1),
                "{micros}"
            );
        }
        assert!(buckets(Timestamp::MIN, Timestamp::from_micros(0).unwrap(), Interval::Auto).is_some());
    }

    #[tokio::test]
    async fn the_first_event_is_found() {
        let store = MemoryStore::new();
        let mut events: Vec<_> = (0..3).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        for (event, time) in
            events.iter_mut().zip(["0800-01-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"])
        {
            event.created_at = at(time);
        }
        store.append(&events).await.unwrap();
        let reader = store.parts().reader.unwrap();
        let now = at("2026-06-01T00:00:00Z");
        let within = |since: Option<&str>, until: Option<&str>| Filter::new().since(since.map(at)).until(until.map(at));
        let (first, last) = of_events(reader, &within(None, None), now).await.unwrap().unwrap();
        assert_eq!((first, last), (at("0800-01-01T00:00:00Z"), events[2].created_at));
        let since = within(Some("2026-04-30T00:00:00Z"), Some("2026-05-05T00:00:00Z"));
        let (first, last) = of_events(reader, &since, now).await.unwrap().unwrap();
        assert_eq!((first, last), (at("2026-04-30T00:00:00Z"), at("2026-05-04T23:59:59.999999Z")));
        let (_, last) = of_events(reader, &within(None, Some("2999-01-01T00:00:00Z")), now).await.unwrap().unwrap();
        assert_eq!(last, now);
        assert_eq!(of_events(reader, &within(Some("2026-05-03T00:00:00Z"), None), now).await.unwrap(), None);
    }
}
