//! Statistics of any store that can be read.

use super::{Reader, StoreError};
use crate::query::{Histogram, Statistics, StatisticsQuery};

/// Counts the events of a query: in total, by value, and over time.
///
/// With buckets, only events within them are counted, and the total is their sum. Each part is a query of its own: an
/// event that arrives in between may be in one part and not in another.
///
/// # Errors
/// Those of the reader.
pub async fn statistics(reader: &dyn Reader, query: &StatisticsQuery) -> Result<Statistics, StoreError> {
    let filter = query.buckets.map_or_else(|| query.filter.clone(), |buckets| buckets.confine(&query.filter));
    let histogram = match &query.buckets {
        Some(buckets) => Some(Histogram::new(buckets, &filter, reader.histogram(&filter, buckets).await?)),
        None => None,
    };
    let total = match &histogram {
        Some(histogram) => histogram.total(),
        None => reader.count(&filter).await?,
    };
    let mut by = Vec::with_capacity(query.by.len());
    for field in &query.by {
        by.push((*field, reader.top_values(&filter, *field, query.top).await?));
    }
    let until = filter.until.or_else(|| query.buckets.map(|buckets| buckets.end()));
    Ok(Statistics { since: filter.since, until, total, by, histogram })
}
