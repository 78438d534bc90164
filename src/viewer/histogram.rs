//! The histogram of a page, streamed after the events.

use std::sync::Arc;

use askama::Template;

use super::bar_chart::BarChart;
use super::links::Links;
use super::safe_html::Thousands;
use super::time::span;
use crate::api::authorized::Confined;
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::event::Timestamp;
use crate::query::{Condition, OutcomePattern, Statistics};

/// How many bars there are at the most.
pub(super) const MAX_BARS: usize = 60;

/// From how many events on it is not said how many they are: counting more would take long.
const MAX_COUNTED: u64 = 1000;

/// A question for the numbers of a page.
#[derive(Debug)]
pub(super) struct HistogramRequest {
    pub(super) request: Arc<Confined>,
    pub(super) filter: ConfinedFilter,
    pub(super) given: Vec<(&'static str, String)>,
    pub(super) links: Links,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// Whether nobody asked for a span.
    pub(super) is_default_span: bool,
    /// Whether it is that of the last 30 days.
    pub(super) is_last_days: bool,
    /// The times of the oldest and the newest event of the page.
    pub(super) page_span: Option<(Timestamp, Timestamp)>,
    /// How many events pass, if the page has them all.
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
    /// The section of the page.
    pub(super) async fn draw(self) -> String {
        match self.section().await {
            Ok(section) => section.render().unwrap_or_default(),
            // The reader has said to the operator why.
            Err(_) => counts_failed(),
        }
    }

    async fn section(&self) -> Result<HistogramSection, ApiError> {
        let filter = self.filter.with(|filter| (filter.since, filter.until) = (Some(self.since), Some(self.until)));
        let all = self.request.statistics(&filter, &[], 0, MAX_BARS).await?;
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
            span: self.span(),
            is_total: !self.is_default_span || self.total == Some(all.total),
            chart: Some(chart).filter(|_| all.total > 0),
        })
    }

    fn span(&self) -> String {
        if self.is_last_days { "the last 30 days".to_owned() } else { span(self.since, self.until) }
    }

    /// How many events pass, if they are not very many.
    async fn total(&self) -> Result<String, ApiError> {
        let beyond = self.filter.page(1).skip(MAX_COUNTED);
        if !self.request.query(&beyond).await?.is_empty() {
            return Ok(format!("more than {}", Thousands(MAX_COUNTED)));
        }
        Ok(Thousands(self.request.count(&self.filter).await?).to_string())
    }
}

/// How many of the events were denied or failed; none if statuses are asked for anyway.
pub(super) async fn failures(request: &Confined, filter: &ConfinedFilter) -> Result<Option<Statistics>, ApiError> {
    if !filter.outcome.is_empty() {
        return Ok(None);
    }
    let outcome = Condition::any_of([OutcomePattern::Class(4), OutcomePattern::Class(5)]);
    request.statistics(&filter.with(|filter| filter.outcome = outcome), &[], 0, MAX_BARS).await.map(Some)
}

/// In the place of numbers that cannot be read.
pub(super) fn counts_failed() -> String {
    CountsFailed.render().unwrap_or_default()
}
