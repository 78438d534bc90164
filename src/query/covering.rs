//! The buckets that a person would choose for a span of time.

use super::Buckets;
use crate::event::Timestamp;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// How long a bucket may be: each divides a longer span that people count in. From a week on, all are whole weeks.
#[rustfmt::skip]
const WIDTHS: [i64; 29] = [
    SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND,
    MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, WEEK, 2 * WEEK, 4 * WEEK, 13 * WEEK, 52 * WEEK,
    260 * WEEK, 520 * WEEK, 2600 * WEEK, 5200 * WEEK, 52_000 * WEEK,
];

/// 1970-01-05, the first Monday after the beginning of time: weeks begin on Mondays.
const FIRST_MONDAY: i64 = 4 * DAY;

impl Buckets {
    /// At most `at_most` buckets of a round length (a second, 5 minutes, a day, a week, …) that begin at round times in
    /// UTC and together cover the span from `since` to before `until`. The first may begin before `since` and the last
    /// end after `until`: the filter that they are counted with says where the span ends. None if the span is empty.
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
        // The last moment of time is in the span that reaches to it: no bucket would have it.
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
        // At the beginning of time, round buckets reach out of it.
        WIDTHS.iter().find_map(round).or_else(exact)
    }
}

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
}
