//! The numbers: over time, and by what events are.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;

use super::activity::{BARS, failures, unread};
use super::answer::{Later, page_with_parts};
use super::asset;
use super::chart::Chart;
use super::form::{Form, without_empty};
use super::links::Links;
use super::list::{given, see_other};
use super::mount::{Shared, Viewer};
use super::operation::{OVERVIEW, can_be_asked};
use super::refused::refused;
use super::text::{Number, Shown};
use super::time::span;
use crate::query::{Field, Filter, Pattern, Tally};
use crate::router::reading::Reading;
use crate::router::record::Record;
use crate::router::refusal::Refusal;
use crate::router::stats::Activity;

#[derive(Template)]
#[template(path = "overview.html", config = "src/viewer/askama.toml")]
struct Page<'a> {
    root: &'a str,
    style: &'static str,
    caller: Shown<'a>,
    is_admin: bool,
    events_link: String,
    form: Form<'a>,
    within: Number,
    span: String,
    chart: Option<Chart>,
    sections: usize,
}

#[derive(Template)]
#[template(path = "tally.html", config = "src/viewer/askama.toml")]
struct Section<'a> {
    title: &'static str,
    name: &'static str,
    lines: Vec<Line<'a>>,
    is_all: bool,
}

/// How many events have a value.
struct Line<'a> {
    value: Option<Shown<'a>>,
    nothing: &'static str,
    href: Option<String>,
    events: Number,
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
const TOP: usize = 10;

pub(super) async fn overview(State(viewer): State<Shared>, request: Request) -> Response {
    let links = Links::from(Links::HERE);
    page(&viewer, &links, request.into_parts().0).await.unwrap_or_else(|refusal| refused(&viewer, &links, refusal))
}

async fn page(viewer: &Viewer, links: &Links, head: Parts) -> Result<Response, Refusal> {
    let reading = Arc::new(Reading::admit(viewer.api.clone(), &OVERVIEW, head).await?);
    if let Some(clean) = without_empty(reading.head.uri.query()) {
        return see_other(&format!("{}overview{clean}", links.root()));
    }
    let asked = reading.asked()?;
    let (since, until) = asked.span()?;
    let filter = Filter { since: Some(since), until: Some(until), ..reading.confine(&asked).await? };
    // A store that cannot be read says so in the status.
    let activity = Activity::read(&reading, &filter, BARS).await?;
    let failed = failures(&reading, &filter).await?;
    reading.record(Record::of(&reading).asked(&asked).count(activity.events)).await?;

    let failed = failed.as_ref().map(|failed| failed.buckets.as_slice());
    let chart = Chart::draw(&activity.buckets, failed, None, links, &asked.given);
    let page = Page {
        root: links.root(),
        style: asset::style_name(),
        caller: Shown::line(reading.caller.name()),
        is_admin: reading.caller.is_admin(),
        events_link: links.list(given(&asked)),
        form: Form::of(&asked, &reading.caller, links, "overview"),
        within: Number(activity.events),
        span: match (asked.filter.since, asked.filter.until) {
            (None, None) => "the last 30 days".to_owned(),
            _ => span(since, until),
        },
        chart: Some(chart).filter(|_| activity.events > 0),
        sections: if activity.events > 0 { SECTIONS.len() } else { 0 },
    };
    let parts = SECTIONS.into_iter().take(page.sections).map(|(field, title)| {
        let part = Part {
            reading: reading.clone(),
            filter: filter.clone(),
            given: asked.given.clone(),
            links: links.clone(),
            field,
            title,
            total: activity.events,
        };
        Box::pin(part.draw()) as Later
    });
    page_with_parts(&page, parts.collect())
}

/// A question for the numbers of a field.
struct Part {
    reading: Arc<Reading>,
    filter: Filter,
    given: Vec<(&'static str, String)>,
    links: Links,
    field: Field,
    title: &'static str,
    total: u64,
}

impl Part {
    async fn draw(self) -> String {
        // One more than is shown tells whether these are all.
        let Ok(mut tallies) = self.reading.tally(&self.filter, self.field, TOP + 1).await else { return unread() };
        let is_all = tallies.len() <= TOP;
        tallies.truncate(TOP);
        let most = tallies.first().map_or(1, |tally| tally.events.max(1));
        let section = Section {
            title: self.title,
            name: self.field.as_str(),
            lines: tallies.iter().map(|tally| self.line(tally, most)).collect(),
            is_all,
        };
        section.render().unwrap_or_default()
    }

    fn line<'a>(&self, Tally { value, events }: &'a Tally, most: u64) -> Line<'a> {
        Line {
            value: value.as_deref().map(Shown::line),
            nothing: match self.field {
                Field::UserEmail => "Anonymous",
                _ => "None",
            },
            href: self.link(value.as_deref()),
            events: Number(*events),
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
            (_, Some(value)) => Pattern::exactly(value).to_string(),
            (_, None) => "!*".to_owned(),
        };
        if !can_be_asked(name, &wanted) {
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
