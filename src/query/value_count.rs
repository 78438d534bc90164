//! Aggregates over events: counts by value and by time.

use std::fmt;
use std::str::FromStr;

use super::FilterError;
use crate::event::limits::excerpt;
use crate::event::{AuditEvent, Timestamp};

/// A field that events are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `event_type`
    EventType,
    /// `actor.user_email`
    UserEmail,
    /// `actor.remote_addr`
    RemoteAddr,
    /// `resource.route`
    Route,
    /// `outcome`
    Outcome,
    /// `phase`
    Phase,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::EventType, Self::UserEmail, Self::RemoteAddr, Self::Route, Self::Outcome, Self::Phase];

    /// The name, as a filter has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::UserEmail => "user_email",
            Self::RemoteAddr => "remote_addr",
            Self::Route => "route",
            Self::Outcome => "outcome",
            Self::Phase => "phase",
        }
    }

    /// Returns the event's value of this field as text, or `None` if it is absent.
    pub fn value_of(self, event: &AuditEvent) -> Option<String> {
        match self {
            Self::EventType => Some(event.event_type.as_str().to_owned()),
            Self::UserEmail => event.actor.user_email.as_deref().map(str::to_owned),
            Self::RemoteAddr => event.actor.remote_addr.as_deref().map(str::to_owned),
            Self::Route => event.resource.route.as_deref().map(str::to_owned),
            Self::Outcome => event.outcome.map(|outcome| outcome.to_string()),
            Self::Phase => Some(event.phase.as_str().to_owned()),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Field {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::ALL.into_iter().find(|field| field.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            FilterError::new(format!("{:?} is not a field to group by: expected one of {known}", excerpt(text)))
        })
    }
}

/// The number of events that share a value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueCount {
    /// The value as text; `None` for events without one.
    pub value: Option<String>,
    /// The number of events, at least 1.
    pub count: u64,
}

impl ValueCount {
    /// The order of tallies: the most events first, then by the bytes of the value, nothing last.
    pub(crate) fn sort_and_truncate(tallies: &mut Vec<Self>, at_most: usize) {
        tallies.sort_unstable_by(|a, b| {
            let last = |tally: &Self| tally.value.is_none();
            b.count.cmp(&a.count).then(last(a).cmp(&last(b))).then_with(|| a.value.cmp(&b.value))
        });
        tallies.truncate(at_most);
    }
}

/// Spans of time of the same length, one after the other.
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

    /// `count` spans of `width_micros` each, the first of which begins at `start`; none if there is no such thing: a
    /// width of less than a microsecond or of more than all of time, no bucket or more than
    /// [`MAX_COUNT`](Self::MAX_COUNT), or a bucket that begins after [`Timestamp::MAX`]. The last may end after it.
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

    /// When the last has ended; [`Timestamp::MAX`] if it ends after it.
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

    /// The filter, confined to the time of the buckets.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn confine(&self, filter: &super::Filter) -> super::Filter {
        let since = filter.since.map_or(self.start, |since| since.max(self.start));
        // What ends after the end of time has the last moment of time in it.
        let end = Timestamp::from_micros(self.start.as_micros() + self.count as i64 * self.width_micros);
        let until = [filter.until, end].into_iter().flatten().min();
        super::Filter { since: Some(since), until, ..filter.clone() }
    }

    /// The bucket that a moment is in.
    pub fn index_of(&self, moment: Timestamp) -> Option<usize> {
        let since = moment.as_micros().checked_sub(self.start.as_micros()).filter(|since| *since >= 0)?;
        usize::try_from(since / self.width_micros).ok().filter(|bucket| *bucket < self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn tallies_have_one_order() {
        let tally = |value: Option<&str>, events| ValueCount { value: value.map(str::to_owned), count: events };
        let mut tallies = vec![tally(None, 2), tally(Some("b"), 2), tally(Some("a"), 2), tally(Some("c"), 3)];
        ValueCount::sort_and_truncate(&mut tallies, 4);
        assert_eq!(tallies, [tally(Some("c"), 3), tally(Some("a"), 2), tally(Some("b"), 2), tally(None, 2)]);
        ValueCount::sort_and_truncate(&mut tallies, 1);
        assert_eq!(tallies.len(), 1);
    }
}
