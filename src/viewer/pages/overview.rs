//! The numbers: over time, and by what events are.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;

use super::error::error_page;
use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::api::handlers::Histogram;
use crate::query::{Field, Filter, TextPattern, ValueCount};
use crate::viewer::assets;
use crate::viewer::bar_chart::BarChart;
use crate::viewer::filter_form::{FilterForm, strip_empty_fields};
use crate::viewer::histogram::{MAX_BARS, counts_failed, failures};
use crate::viewer::links::{Links, raw_filters, redirect};
use crate::viewer::operations::{OVERVIEW, is_filterable};
use crate::viewer::response::{DeferredPart, page_with_parts};
use crate::viewer::safe_html::{SafeText, Thousands};
use crate::viewer::state::{SharedState, ViewerState};
use crate::viewer::time::span;

#[derive(Template)]
#[template(path = "overview.html", config = "src/viewer/askama.toml")]
struct OverviewPage<'a> {
    root: &'a str,
    style: &'static str,
    caller: SafeText<'a>,
    is_admin: bool,
    events_link: String,
    form: FilterForm<'a>,
    within: Thousands,
    span: String,
    chart: Option<BarChart>,
    sections: usize,
}

#[derive(Template)]
#[template(path = "top_values.html", config = "src/viewer/askama.toml")]
struct TopValuesSection<'a> {
    title: &'static str,
    name: &'static str,
    lines: Vec<ValueRow<'a>>,
    is_all: bool,
}

/// How many events have a value.
struct ValueRow<'a> {
    value: Option<SafeText<'a>>,
    nothing: &'static str,
    href: Option<String>,
    events: Thousands,
    /// Of 1,000 parts of the most.
    length: u64,
    share: String,
}

const SECTIONS: [(Field, &str); 6] = [
    (Field::EventType, "Types"),
    (Field::UserEmail, "Users"),
    (Field::Route, "Routes"),
    (Field::Outcome, "Statuses"),
    (Field::RemoteAddr, "Addresses"),
    (Field::Phase, "Phases"),
];

/// How many values are shown.
const MAX_VALUES: usize = 10;

pub(in crate::viewer) async fn overview(State(viewer): State<SharedState>, request: Request) -> Response {
    let links = Links::from(Links::HERE);
    page(&viewer, &links, request.into_parts().0).await.unwrap_or_else(|refusal| error_page(&viewer, &links, refusal))
}

async fn page(viewer: &ViewerState, links: &Links, head: Parts) -> Result<Response, ApiError> {
    let reading = Arc::new(Admitted::admit(viewer.api.clone(), &OVERVIEW, head).await?);
    if let Some(clean) = strip_empty_fields(reading.head.uri.query()) {
        return redirect(&format!("{}overview{clean}", links.root()));
    }
    let asked = reading.params()?;
    let (since, until) = asked.span()?;
    let filter = Filter { since: Some(since), until: Some(until), ..reading.confine(&asked).await? };
    // A store that cannot be read says so in the status.
    let activity = Histogram::read(&reading, &filter, MAX_BARS).await?;
    let failed = failures(&reading, &filter).await?;
    reading.record(reading.access_event().asked(&asked).count(activity.events)).await?;

    let failed = failed.as_ref().map(|failed| failed.buckets.as_slice());
    let chart = BarChart::draw(&activity.buckets, failed, None, links, &asked.raw_filters);
    let page = OverviewPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(reading.caller.name()),
        is_admin: reading.caller.is_admin(),
        events_link: links.list(raw_filters(&asked)),
        form: FilterForm::of(&asked, &reading.caller, links, "overview"),
        within: Thousands(activity.events),
        span: match (asked.filter.since, asked.filter.until) {
            (None, None) => "the last 30 days".to_owned(),
            _ => span(since, until),
        },
        chart: Some(chart).filter(|_| activity.events > 0),
        sections: if activity.events > 0 { SECTIONS.len() } else { 0 },
    };
    let parts = SECTIONS.into_iter().take(page.sections).map(|(field, title)| {
        let part = TopValuesRequest {
            reading: reading.clone(),
            filter: filter.clone(),
            given: asked.raw_filters.clone(),
            links: links.clone(),
            field,
            title,
            total: activity.events,
        };
        Box::pin(part.draw()) as DeferredPart
    });
    page_with_parts(&page, parts.collect())
}

/// A question for the numbers of a field.
struct TopValuesRequest {
    reading: Arc<Admitted>,
    filter: Filter,
    given: Vec<(&'static str, String)>,
    links: Links,
    field: Field,
    title: &'static str,
    total: u64,
}

impl TopValuesRequest {
    async fn draw(self) -> String {
        // One more than is shown tells whether these are all.
        let Ok(mut tallies) = self.reading.top_values(&self.filter, self.field, MAX_VALUES + 1).await else {
            return counts_failed();
        };
        let is_all = tallies.len() <= MAX_VALUES;
        tallies.truncate(MAX_VALUES);
        let most = tallies.first().map_or(1, |tally| tally.count.max(1));
        let section = TopValuesSection {
            title: self.title,
            name: self.field.as_str(),
            lines: tallies.iter().map(|tally| self.line(tally, most)).collect(),
            is_all,
        };
        section.render().unwrap_or_default()
    }

    fn line<'a>(&self, ValueCount { value, count: events }: &'a ValueCount, most: u64) -> ValueRow<'a> {
        ValueRow {
            value: value.as_deref().map(SafeText::line),
            nothing: match self.field {
                Field::UserEmail => "Anonymous",
                _ => "None",
            },
            href: self.link(value.as_deref()),
            events: Thousands(*events),
            length: (events * 1000 / most).max(4),
            share: share(*events, self.total),
        }
    }

    /// The events with this value in the same span, through the same filters.
    fn link(&self, value: Option<&str>) -> Option<String> {
        let name = self.field.as_str();
        if name == "user_email" && !self.reading.caller.is_admin() {
            return None;
        }
        let wanted = match (self.field, value) {
            (Field::Outcome, Some(status)) => status.to_owned(),
            (Field::Outcome, None) => "none".to_owned(),
            (_, Some(value)) => TextPattern::exact(value).to_string(),
            (_, None) => "!*".to_owned(),
        };
        if !is_filterable(name, &wanted) {
            return None;
        }
        let (since, until) = (self.filter.since?.to_string(), self.filter.until?.to_string());
        let others = self.given.iter().map(|(name, value)| (*name, value.as_str()));
        let others = others.filter(|(other, _)| ![name, "since", "until"].contains(other));
        Some(self.links.list(others.chain([("since", since.as_str()), ("until", &until), (name, &wanted)])))
    }
}

fn share(events: u64, total: u64) -> String {
    match events * 1000 / total.max(1) {
        0 => "<0.1 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}
