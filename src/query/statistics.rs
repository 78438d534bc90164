//! Counts of events by value and over time, and their JSON.

use serde::{Serialize, Serializer};

use super::{Buckets, Field, Filter, ValueCount};
use crate::event::Timestamp;

/// A query for [`Statistics`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatisticsQuery {
    /// The filter of the counted events.
    pub filter: Filter,
    /// The fields to count by.
    pub by: Vec<Field>,
    /// The largest number of values of each field.
    pub top: usize,
    /// The buckets of the histogram. Events outside of them are not counted.
    pub buckets: Option<Buckets>,
}

impl StatisticsQuery {
    /// Counts the events that pass `filter`: in total, until fields or buckets are set.
    pub fn new(filter: Filter) -> Self {
        Self { filter, by: Vec::new(), top: 10, buckets: None }
    }

    /// Counts by these fields.
    #[must_use]
    pub fn by(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.by = fields.into_iter().collect();
        self
    }

    /// Returns at most this many values of each field, 10 by default.
    #[must_use]
    pub fn top(mut self, values: usize) -> Self {
        self.top = values;
        self
    }

    /// Counts over time, and only within these buckets.
    #[must_use]
    pub fn buckets(mut self, buckets: impl Into<Option<Buckets>>) -> Self {
        self.buckets = buckets.into();
        self
    }
}

/// The number of events: in total, by value, and over time.
///
/// Serialized, it is the answer of `GET /stats` and of `tower-audit stats --format json`:
///
/// ```
/// use tower_audit::Timestamp;
/// use tower_audit::query::{Buckets, Field, Filter, StatisticsQuery};
/// use tower_audit::store::{MemoryStore, statistics};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (since, until): (Timestamp, Timestamp) = ("2026-05-25T00:00:00Z".parse()?, "2026-05-25T12:00:00Z".parse()?);
/// let filter = Filter::new().since(since).until(until);
/// let query = StatisticsQuery::new(filter).by([Field::Outcome]).buckets(Buckets::covering(since, until, 1));
/// let json = serde_json::to_string(&statistics(&MemoryStore::new(), &query).await?)?;
/// assert_eq!(
///     json,
///     concat!(
///         r#"{"since":"2026-05-25T00:00:00.000000Z","until":"2026-05-25T12:00:00.000000Z","total":0,"#,
///         r#""by":{"outcome":[]},"histogram":{"interval_seconds":43200,"buckets":["#,
///         r#"{"since":"2026-05-25T00:00:00.000000Z","until":"2026-05-25T12:00:00.000000Z","count":0}]}}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// The start of the counted time; `None` if it has no start.
    pub since: Option<Timestamp>,
    /// The end of the counted time, which is not in it; `None` if it has no end.
    pub until: Option<Timestamp>,
    /// The number of events.
    pub total: u64,
    /// For each field of the query, the values with the most events.
    #[serde(serialize_with = "as_object")]
    pub by: Vec<(Field, Vec<ValueCount>)>,
    /// The number of events over time, if the query has buckets.
    pub histogram: Option<Histogram>,
}

/// The number of events over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The width of a bucket in whole seconds. The first and the last may be cut by the filter.
    pub interval_seconds: u64,
    /// The buckets, in the order of time.
    pub buckets: Vec<HistogramBucket>,
}

/// The number of events in one bucket. `since` and `until` as a filter find these events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HistogramBucket {
    /// The start.
    pub since: Timestamp,
    /// The end, which is not in the bucket.
    pub until: Timestamp,
    /// The number of events.
    pub count: u64,
}

impl Histogram {
    /// The counts of `buckets`, each bucket cut to the time of `filter`.
    pub(crate) fn new(buckets: &Buckets, filter: &Filter, counts: Vec<u64>) -> Self {
        let (since, until) = (filter.since.unwrap_or(Timestamp::MIN), filter.until.unwrap_or(Timestamp::MAX));
        let bucket = |(n, count)| HistogramBucket {
            since: buckets.start_of(n).max(since),
            until: buckets.start_of(n + 1).min(until),
            count,
        };
        Self {
            interval_seconds: buckets.width_micros().unsigned_abs() / 1_000_000,
            buckets: counts.into_iter().enumerate().map(bucket).collect(),
        }
    }

    /// Returns the number of events in all buckets.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }
}

/// `{"outcome": [{"value": "200", "count": 3}]}`, in the order of the query.
fn as_object<S: Serializer>(by: &[(Field, Vec<ValueCount>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(by.iter().map(|(field, values)| (field.as_str(), values)))
}
