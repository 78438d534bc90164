//! How many events pass, and when: read while the browser shows the page already.

use std::sync::Arc;

use askama::Template;

use super::chart::Chart;
use super::links::Links;
use super::text::Number;
use super::time::span;
use crate::event::Timestamp;
use crate::query::{Condition, Filter, Query, Status};
use crate::router::reading::Reading;
use crate::router::refusal::Refusal;
use crate::router::stats::Activity;

/// How many bars there are at the most.
pub(super) const BARS: usize = 60;

/// From how many events on it is not said how many they are: counting more would take long.
const MOST_COUNTED: u64 = 1000;

/// A question for the numbers of a page.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) reading: Arc<Reading>,
    pub(super) filter: Filter,
    pub(super) given: Vec<(&'static str, String)>,
    pub(super) links: Links,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// Whether nobody asked for a span.
    pub(super) is_usual_span: bool,
    /// Whether it is that of the last 30 days.
    pub(super) is_last_days: bool,
    /// The times of the oldest and the newest event of the page.
    pub(super) here: Option<(Timestamp, Timestamp)>,
    /// How many events pass, if the page has them all.
    pub(super) total: Option<u64>,
}

#[derive(Template)]
#[template(path = "activity.html", config = "src/viewer/askama.toml")]
struct Section {
    total: String,
    within: Number,
    span: String,
    is_total: bool,
    chart: Option<Chart>,
}

#[derive(Template)]
#[template(path = "unread.html", config = "src/viewer/askama.toml")]
struct Unread;

impl Numbers {
    /// The section of the page.
    pub(super) async fn draw(self) -> String {
        match self.section().await {
            Ok(section) => section.render().unwrap_or_default(),
            // The reader has said to the operator why.
            Err(_) => unread(),
        }
    }

    async fn section(&self) -> Result<Section, Refusal> {
        let filter = Filter { since: Some(self.since), until: Some(self.until), ..self.filter.clone() };
        let activity = Activity::read(&self.reading, &filter, BARS).await?;
        let failed = failures(&self.reading, &filter).await?;
        let total = match self.total {
            Some(total) => Number(total).to_string(),
            None if !self.is_usual_span && activity.events <= MOST_COUNTED => Number(activity.events).to_string(),
            None => self.total().await?,
        };
        let buckets = failed.as_ref().map(|failed| failed.buckets.as_slice());
        let chart = Chart::draw(&activity.buckets, buckets, self.here, &self.links, &self.given);
        Ok(Section {
            total,
            within: Number(activity.events),
            span: self.span(),
            is_total: !self.is_usual_span || self.total == Some(activity.events),
            chart: Some(chart).filter(|_| activity.events > 0),
        })
    }

    fn span(&self) -> String {
        if self.is_last_days { "the last 30 days".to_owned() } else { span(self.since, self.until) }
    }

    /// How many events pass, if they are not very many.
    async fn total(&self) -> Result<String, Refusal> {
        let beyond = Query { skip: MOST_COUNTED, ..Query::new(self.filter.clone(), 1) };
        if !self.reading.query(&beyond).await?.is_empty() {
            return Ok(format!("more than {}", Number(MOST_COUNTED)));
        }
        Ok(Number(self.reading.count(&self.filter).await?).to_string())
    }
}

/// How many of the events were denied or failed; none if statuses are asked for anyway.
pub(super) async fn failures(reading: &Reading, filter: &Filter) -> Result<Option<Activity>, Refusal> {
    if !filter.outcome.is_none() {
        return Ok(None);
    }
    let outcome = Condition::one_of([Status::Class(4), Status::Class(5)]);
    Activity::read(reading, &Filter { outcome, ..filter.clone() }, BARS).await.map(Some)
}

/// In the place of numbers that cannot be read.
pub(super) fn unread() -> String {
    Unread.render().unwrap_or_default()
}
