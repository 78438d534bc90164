//! The histogram of a page, streamed after the events.

use std::sync::Arc;

use askama::Template;

use super::bar_chart::BarChart;
use super::links::Links;
use super::safe_html::Thousands;
use super::time::span;
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::api::read_access::Confined;
use crate::event::Timestamp;
use crate::query::{Condition, OutcomePattern, Statistics};

/// The largest number of bars.
const MAX_BARS: usize = 60;

/// The number of events from which the page says "more than": counting them all may take long.
const MAX_COUNTED: u64 = 1000;

/// A query for the histogram of a page.
#[derive(Debug)]
pub(super) struct HistogramRequest {
    pub(super) request: Arc<Confined>,
    pub(super) filter: ConfinedFilter,
    pub(super) given: Vec<(&'static str, String)>,
    pub(super) links: Links,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// True if `since` was not given.
    pub(super) is_default_span: bool,
    /// True if the histogram covers the last 30 days.
    pub(super) is_last_days: bool,
    /// The times of the oldest and the newest event of the page.
    pub(super) page_span: Option<(Timestamp, Timestamp)>,
    /// The number of events that pass, if the page has them all.
    pub(super) total: Option<u64>,
}

#[derive(Template)]
#[template(path = "histogram.html", config = "src/viewer/askama.toml")]
struct HistogramSection {
    total: String,
    within: Thousands,
    span: String,
    is_total: bool,
    chart: Option<BarChart>,
}

#[derive(Template)]
#[template(path = "counts_failed.html", config = "src/viewer/askama.toml")]
struct CountsFailed;

impl HistogramRequest {
    /// Renders the section.
    pub(super) async fn draw(self) -> String {
        match self.section().await {
            Ok(section) => section.render().unwrap_or_default(),
            // The cause is in the operator's log.
            Err(_) => counts_failed(),
        }
    }

    async fn section(&self) -> Result<HistogramSection, ApiError> {
        let filter = self.filter.with(|filter| (filter.since, filter.until) = (Some(self.since), Some(self.until)));
        let (filter, all) = fitted(&self.request, filter).await?;
        let failed = failures(&self.request, &filter).await?;
        let total = match self.total {
            Some(total) => Thousands(total).to_string(),
            None if !self.is_default_span && all.total <= MAX_COUNTED => Thousands(all.total).to_string(),
            None => self.total().await?,
        };
        let chart = BarChart::draw(&all, failed.as_ref(), self.page_span, &self.links, &self.given);
        Ok(HistogramSection {
            total,
            within: Thousands(all.total),
            span: if self.is_last_days {
                "the last 30 days".to_owned()
            } else {
                span(filter.since.unwrap_or(self.since), self.until)
            },
            is_total: !self.is_default_span || self.total == Some(all.total),
            chart: Some(chart).filter(|_| all.total > 0),
        })
    }

    /// Returns the number of events that pass, or "more than 1,000".
    async fn total(&self) -> Result<String, ApiError> {
        let beyond = self.filter.page(1).skip(MAX_COUNTED);
        if !self.request.query(&beyond).await?.is_empty() {
            return Ok(format!("more than {}", Thousands(MAX_COUNTED)));
        }
        Ok(Thousands(self.request.count(&self.filter).await?).to_string())
    }
}

/// Counts the events over the span of the filter. While more than half of the span is before the first event, it begins
/// there: a chart of all time has the time of the log.
pub(super) async fn fitted(
    request: &Confined,
    mut filter: ConfinedFilter,
) -> Result<(ConfinedFilter, Statistics), ApiError> {
    const MAX_ROUNDS: usize = 4;
    let mut all = request.statistics(&filter, &[], 0, MAX_BARS).await?;
    for _ in 1..MAX_ROUNDS {
        let buckets = all.histogram.as_ref().map_or(&[][..], |histogram| &histogram.buckets);
        let first = buckets.iter().position(|bucket| bucket.count > 0).filter(|first| *first > buckets.len() / 2);
        let Some(first) = first else { break };
        filter = filter.with(|filter| filter.since = Some(buckets[first].since));
        all = request.statistics(&filter, &[], 0, MAX_BARS).await?;
    }
    Ok((filter, all))
}

/// Counts the denied and failed events (4xx, 5xx), unless the filter has a condition on the status.
pub(super) async fn failures(request: &Confined, filter: &ConfinedFilter) -> Result<Option<Statistics>, ApiError> {
    if !filter.outcome.is_empty() {
        return Ok(None);
    }
    let outcome = Condition::any_of([OutcomePattern::Class(4), OutcomePattern::Class(5)]);
    request.statistics(&filter.with(|filter| filter.outcome = outcome), &[], 0, MAX_BARS).await.map(Some)
}

/// Renders the section in place of counts that failed.
pub(super) fn counts_failed() -> String {
    CountsFailed.render().unwrap_or_default()
}
