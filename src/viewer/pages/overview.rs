//! The statistics: over time and by value.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;

use super::PageRequest;
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::api::query_params::Params;
use crate::api::read_access::{Confined, Recorded};
use crate::event::Timestamp;
use crate::query::{Field, Statistics, TextPattern, ValueCount};
use crate::viewer::assets;
use crate::viewer::bar_chart::BarChart;
use crate::viewer::filter_form::{FilterForm, strip_empty_fields};
use crate::viewer::histogram::{counts_failed, failures, fitted};
use crate::viewer::links::{Links, raw_filters, redirect};
use crate::viewer::operations::is_filterable;
use crate::viewer::response::{DeferredPart, page_with_parts};
use crate::viewer::safe_html::{SafeText, Thousands};
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

/// A value and its number of events.
struct ValueRow<'a> {
    value: Option<SafeText<'a>>,
    nothing: &'static str,
    href: Option<String>,
    events: Thousands,
    /// The length of the bar, in thousandths of the longest.
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

/// The number of values shown.
const MAX_VALUES: usize = 10;

/// Shows the counts by value and over time.
pub(in crate::viewer) async fn overview(request: PageRequest) -> Result<Recorded<Response>, ApiError> {
    let PageRequest { admitted, links } = request;
    if let Some(query) = strip_empty_fields(admitted.head().uri.query()) {
        return redirect(&format!("{}overview{query}", links.root()));
    }
    let params = admitted.params()?.folded_by_default();
    let (since, until) = params.span()?;
    let request = Arc::new(admitted.confine(&params).await?);
    let filter = request.filter().with(|filter| (filter.since, filter.until) = (Some(since), Some(until)));
    // A store that cannot be read says so in the status.
    let (filter, all) = fitted(&request, filter).await?;
    let failed = failures(&request, &filter).await?;
    let access = request.access_event().params(&params).count(all.total);
    let counts = request.record(access, (all, failed)).await?;
    counts.try_map(|(all, failed)| render(&request, &params, &links, &filter, &all, failed.as_ref()))
}

fn render(
    request: &Arc<Confined>,
    params: &Params,
    links: &Links,
    filter: &ConfinedFilter,
    all: &Statistics,
    failed: Option<&Statistics>,
) -> Result<Response, ApiError> {
    let chart = BarChart::draw(all, failed, None, links, &params.raw_filters);
    let page = OverviewPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(request.caller().name()),
        is_admin: request.caller().is_admin(),
        events_link: links.list(raw_filters(params)),
        form: FilterForm::of(params, request.caller(), links, "overview"),
        within: Thousands(all.total),
        span: match (params.filter.since, params.filter.until) {
            (None, None) => "the last 30 days".to_owned(),
            _ => span(filter.since.unwrap_or(Timestamp::MIN), filter.until.unwrap_or(Timestamp::MAX)),
        },
        chart: Some(chart).filter(|_| all.total > 0),
        sections: if all.total > 0 { SECTIONS.len() } else { 0 },
    };
    let parts = SECTIONS.into_iter().take(page.sections).map(|(field, title)| {
        let part = TopValuesRequest {
            request: request.clone(),
            filter: filter.clone(),
            given: params.raw_filters.clone(),
            links: links.clone(),
            field,
            title,
            total: all.total,
        };
        Box::pin(part.draw()) as DeferredPart
    });
    page_with_parts(&page, parts.collect())
}

/// A query for the values of a field.
struct TopValuesRequest {
    request: Arc<Confined>,
    filter: ConfinedFilter,
    given: Vec<(&'static str, String)>,
    links: Links,
    field: Field,
    title: &'static str,
    total: u64,
}

impl TopValuesRequest {
    async fn draw(self) -> String {
        // One more value than is shown tells whether there are others.
        let Ok(mut counts) = self.request.top_values(&self.filter, self.field, MAX_VALUES + 1).await else {
            return counts_failed();
        };
        let is_all = counts.len() <= MAX_VALUES;
        counts.truncate(MAX_VALUES);
        let most = counts.first().map_or(1, |value_count| value_count.count.max(1));
        let section = TopValuesSection {
            title: self.title,
            name: self.field.as_str(),
            lines: counts.iter().map(|value_count| self.line(value_count, most)).collect(),
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

    /// Returns the link to the events with this value, with the same filters and time range.
    fn link(&self, value: Option<&str>) -> Option<String> {
        let name = self.field.as_str();
        if name == "user_email" && !self.request.caller().is_admin() {
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
