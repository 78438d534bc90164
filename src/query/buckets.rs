//! Buckets of a histogram.

use crate::event::Timestamp;

/// Consecutive spans of time of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    start: Timestamp,
    width_micros: i64,
    count: usize,
}

#[expect(clippy::len_without_is_empty, reason = "a histogram has at least one bucket")]
impl Buckets {
    /// The maximum number of buckets.
    pub const MAX_COUNT: usize = 1000;

    /// `count` buckets of `width_micros` each, the first of which begins at `start`.
    ///
    /// Returns `None` for a width below a microsecond or above all of time, for a count of 0 or above
    /// [`MAX_COUNT`](Self::MAX_COUNT), and if the last bucket begins after [`Timestamp::MAX`]. It may end after it.
    pub fn new(start: Timestamp, width_micros: i64, count: usize) -> Option<Self> {
        const ALL_OF_TIME: i64 = Timestamp::MAX.as_micros() - Timestamp::MIN.as_micros() + 1;
        let fits = (1..=ALL_OF_TIME).contains(&width_micros) && (1..=Self::MAX_COUNT).contains(&count);
        let last = i64::try_from(count).ok()?.checked_sub(1)?.checked_mul(width_micros)?;
        let last = Timestamp::from_micros(start.as_micros().checked_add(last)?);
        (fits && last.is_some()).then_some(Self { start, width_micros, count })
    }

    /// Returns the start of the first bucket.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Returns the end of the last bucket, at most [`Timestamp::MAX`].
    pub fn end(&self) -> Timestamp {
        self.start_of(self.count)
    }

    /// Returns the width of a bucket in microseconds.
    pub fn width_micros(&self) -> i64 {
        self.width_micros
    }

    /// Returns the number of buckets.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the start of bucket `bucket`, counted from 0.
    pub fn start_of(&self, bucket: usize) -> Timestamp {
        let bucket = i64::try_from(bucket.min(self.count)).unwrap_or(0);
        Timestamp::from_micros_clamped(self.start.as_micros() + bucket * self.width_micros)
    }

    /// Returns the filter, confined to the time of the buckets.
    pub(crate) fn confine(&self, filter: &super::Filter) -> super::Filter {
        let since = filter.since.map_or(self.start, |since| since.max(self.start));
        // A last bucket that ends after the end of time includes the last microsecond.
        let end = Timestamp::from_micros(self.start.as_micros() + self.count as i64 * self.width_micros);
        let until = [filter.until, end].into_iter().flatten().min();
        super::Filter { since: Some(since), until, ..filter.clone() }
    }

    /// Returns the index of the bucket that contains the time.
    pub fn index_of(&self, moment: Timestamp) -> Option<usize> {
        let since = moment.as_micros().checked_sub(self.start.as_micros()).filter(|since| *since >= 0)?;
        usize::try_from(since / self.width_micros).ok().filter(|bucket| *bucket < self.count)
    }
}

impl Buckets {
    /// At most `at_most` buckets of a round width (a second, 5 minutes, a day, a week, …) that begin at round times in UTC
    /// and cover the time from `since` to before `until`. The first may begin before `since`, and the last end after
    /// `until`. Returns `None` if `since` is not before `until`.
    ///
    /// ```
    /// use tower_audit::query::Buckets;
    ///
    /// let buckets = Buckets::covering("2026-05-25T12:34:56Z".parse()?, "2026-05-26T11:00:00Z".parse()?, 24).unwrap();
    /// assert_eq!(buckets.start_of(0).to_string(), "2026-05-25T12:00:00.000000Z");
    /// assert_eq!((buckets.len(), buckets.width_micros()), (23, 3_600_000_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn covering(since: Timestamp, until: Timestamp, at_most: usize) -> Option<Self> {
        // An end of `Timestamp::MAX` includes the last microsecond.
        let until = if until == Timestamp::MAX { until.as_micros() + 1 } else { until.as_micros() };
        let length = until.checked_sub(since.as_micros()).filter(|length| *length > 0)?;
        let at_most = at_most.clamp(1, Self::MAX_COUNT);
        let round = |width: &i64| {
            let origin = if *width >= WEEK { FIRST_MONDAY } else { 0 };
            let begin = since.as_micros() - (since.as_micros() - origin).rem_euclid(*width);
            let count = usize::try_from((until - begin + width - 1) / width).ok()?;
            if count > at_most { None } else { Self::new(Timestamp::from_micros(begin)?, *width, count) }
        };
        let exact = || {
            let most = i64::try_from(at_most).ok()?;
            let width = (length + most - 1) / most;
            Self::new(since, width, usize::try_from((length + width - 1) / width).ok()?)
        };
        // Round buckets would begin before `Timestamp::MIN`.
        WIDTHS.iter().find_map(round).or_else(exact)
    }
}

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The round widths of a bucket. From a week on, all are whole weeks.
#[rustfmt::skip]
const WIDTHS: [i64; 29] = [
    SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND,
    MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, WEEK, 2 * WEEK, 4 * WEEK, 13 * WEEK, 52 * WEEK,
    260 * WEEK, 520 * WEEK, 2600 * WEEK, 5200 * WEEK, 52_000 * WEEK,
];

/// 1970-01-05, the first Monday after the Unix epoch: weeks begin on Mondays (ISO 8601).
const FIRST_MONDAY: i64 = 4 * DAY;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covering(since: &str, until: &str, at_most: usize) -> (String, i64, usize) {
        let buckets = Buckets::covering(since.parse().unwrap(), until.parse().unwrap(), at_most).unwrap();
        (buckets.start().to_string(), buckets.width_micros() / SECOND, buckets.len())
    }

    #[test]
    fn buckets_begin_at_round_times() {
        let monday = "2026-05-25T00:00:00.000000Z".to_owned();
        assert_eq!(covering("2026-05-25T00:00:00Z", "2026-05-26T00:00:00Z", 24), (monday.clone(), 3600, 24));
        assert_eq!(covering("2026-05-25T00:00:00Z", "2026-05-26T00:00:00Z", 23), (monday.clone(), 7200, 12));
        assert_eq!(covering("2026-05-28T10:00:00Z", "2026-06-20T00:00:00Z", 4), (monday, 7 * 86_400, 4));
        let night = "2026-05-24T00:00:00.000000Z".to_owned();
        assert_eq!(covering("2026-05-24T23:59:59Z", "2026-05-25T00:00:01Z", 2).1, 1);
        assert_eq!(covering("2026-05-24T00:00:01Z", "2026-05-24T00:00:02Z", 1).0, "2026-05-24T00:00:01.000000Z");
        assert_eq!(covering("2026-05-24T03:00:00Z", "2026-05-25T00:00:00Z", 1), (night, 86_400, 1));
        let moment = "2026-05-24T00:00:00Z".parse().unwrap();
        assert_eq!(Buckets::covering(moment, moment, 9), None);
    }

    proptest! {
        #[test]
        fn any_span_is_covered(
            one in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(),
            length in prop_oneof![1..10 * SECOND, 1..60 * DAY, 1..Timestamp::MAX.as_micros()],
            at_most in 0..2000_usize,
        ) {
            let since = Timestamp::from_micros_clamped(one);
            let until = Timestamp::from_micros_clamped(one.saturating_add(length));
            prop_assume!(since < until);
            let buckets = Buckets::covering(since, until, at_most).unwrap();
            prop_assert!(buckets.len() <= at_most.clamp(1, Buckets::MAX_COUNT));
            prop_assert!(buckets.start() <= since && buckets.end() >= until);
            // None of them is in vain.
            prop_assert!(buckets.start_of(1) > since && buckets.start_of(buckets.len() - 1) < until);
        }
    }

    #[test]
    fn the_ends_of_time_are_covered() {
        for at_most in [1, 60, 1000] {
            let buckets = Buckets::covering(Timestamp::MIN, Timestamp::MAX, at_most).unwrap();
            assert!(buckets.len() == at_most || at_most == 1000, "{buckets:?}");
            assert_eq!((buckets.start(), buckets.index_of(Timestamp::MAX)), (Timestamp::MIN, Some(buckets.len() - 1)));
        }
    }

    #[test]
    fn buckets_are_half_open_and_bounded() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let buckets = Buckets::new(at(10), 5, 3).unwrap();
        assert_eq!((buckets.start_of(0), buckets.start_of(2), buckets.end()), (at(10), at(20), at(25)));
        let found: Vec<_> = [9, 10, 14, 15, 24, 25].map(|micros| buckets.index_of(at(micros))).to_vec();
        assert_eq!(found, [None, Some(0), Some(0), Some(1), Some(2), None]);
        for (width, count) in [(0, 1), (-1, 1), (1, 0), (1, 1001), (i64::MAX, 2), (i64::MAX, 1)] {
            assert_eq!(Buckets::new(at(0), width, count), None, "{width} {count}");
        }
        // The last may reach out of time, and has the last moment of it.
        let last = Timestamp::MAX.as_micros() - 7;
        let buckets = Buckets::new(at(last), 5, 2).unwrap();
        assert_eq!((buckets.index_of(at(last + 7)), buckets.end()), (Some(1), Timestamp::MAX));
        assert_eq!(Buckets::new(at(last), 5, 3), None);
    }
}
