//! `GET /stats`: how many events there are of what, and when.

use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::api::authorized::{Admitted, Confined, Recorded};
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::api::response::json as json_response;
use crate::event::Timestamp;
use crate::export::escape_unsafe_chars;
use crate::query::{Buckets, ValueCount};

/// Counts the events by value and over time.
pub(crate) async fn stats(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let (since, until) = params.span()?;
    let request = request.confine(&params).await?;
    let filter = request.filter().with(|filter| (filter.since, filter.until) = (Some(since), Some(until)));
    let Histogram { events, buckets } = Histogram::read(&request, &filter, params.buckets).await?;
    let mut by = Map::new();
    for field in &params.by {
        let values = request.top_values(&filter, *field, params.top).await?;
        by.insert(field.as_str().to_owned(), values.into_iter().map(value_count).collect());
    }
    let buckets: Vec<_> = buckets
        .into_iter()
        .map(|Bucket { since, until, events }| json!({ "since": since, "until": until, "events": events }))
        .collect();
    let stats = json!({ "since": since, "until": until, "events": events, "by": by, "activity": buckets });
    let stats = request.record(request.access_event().asked(&params).count(events), stats).await?;
    Ok(stats.map(|stats| json_response(escape_unsafe_chars(stats.to_string()) + "\n")))
}

fn value_count(ValueCount { value, count: events }: ValueCount) -> Value {
    json!({ "value": value, "events": events })
}

/// How many events there are, and when.
#[derive(Debug)]
pub(crate) struct Histogram {
    pub(crate) events: u64,
    pub(crate) buckets: Vec<Bucket>,
}

/// How many events there are in a span of time.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) events: u64,
}

impl Histogram {
    /// Counts the events of a filter that has both ends of its span. The buckets end where it ends, so that each is
    /// itself a filter that finds its events.
    pub(crate) async fn read(request: &Confined, filter: &ConfinedFilter, at_most: usize) -> Result<Self, ApiError> {
        let (since, until) = (filter.since.unwrap_or(Timestamp::MIN), filter.until.unwrap_or(Timestamp::MAX));
        let Some(buckets) = Buckets::covering(since, until, at_most) else {
            return Ok(Self { events: 0, buckets: Vec::new() });
        };
        let counts = request.histogram(filter, &buckets).await?;
        let bucket = |(n, events)| Bucket {
            since: buckets.start_of(n).max(since),
            until: buckets.start_of(n + 1).min(until),
            events,
        };
        let buckets: Vec<_> = counts.into_iter().enumerate().map(bucket).collect();
        Ok(Self { events: buckets.iter().map(|bucket| bucket.events).sum(), buckets })
    }
}
