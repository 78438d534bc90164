//! The table of events.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::activity::Numbers;
use super::answer::{html, page_with_parts};
use super::asset;
use super::form::{Form, without_empty};
use super::links::Links;
use super::mount::{Shared, Viewer};
use super::newer::newer;
use super::operation::EVENTS;
use super::refused::refused;
use super::row::Row;
use super::text::Shown;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Cursor, Filter, Query};
use crate::router::Caller;
use crate::router::asked::Asked;
use crate::router::reading::Reading;
use crate::router::record::Record;
use crate::router::refusal::Refusal;

/// How many events a page has if nobody says otherwise.
const USUAL_LIMIT: usize = 50;

#[derive(Template)]
#[template(path = "list.html", config = "src/viewer/askama.toml")]
struct Page<'a> {
    root: &'a str,
    style: &'static str,
    caller: Shown<'a>,
    is_admin: bool,
    overview: String,
    form: Form<'a>,
    rows: Vec<Row<'a>>,
    newest: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    here: Option<String>,
    exports: Vec<(&'static str, String)>,
}

pub(super) async fn list(State(viewer): State<Shared>, request: Request) -> Response {
    let head = request.into_parts().0;
    let links = Links::from_mount(&head);
    page(&viewer, &links, head).await.unwrap_or_else(|refusal| refused(&viewer, &links, refusal))
}

async fn page(viewer: &Viewer, links: &Links, head: Parts) -> Result<Response, Refusal> {
    let reading = Arc::new(Reading::admit(viewer.api.clone(), &EVENTS, head).await?);
    if let Some(clean) = without_empty(reading.head.uri.query()) {
        return see_other(&format!("{}{clean}", links.root()));
    }
    let asked = reading.asked()?;
    let filter = reading.confine(&asked).await?;
    let found = Found::read(&reading, &asked, &filter).await?;
    reading.record(Record::of(&reading).asked(&asked).count(found.events.len() as u64)).await?;

    let numbers = numbers(&reading, &asked, filter, links, &found);
    let rows = found.events.iter().map(|event| Row::of(event, links, asked.now)).collect();
    let around = Around { asked: &asked, caller: &reading.caller, links };
    let begins_at = |event: &AuditEvent| {
        let next = event.event_id.as_u128().saturating_add(1);
        Cursor { created_at: event.created_at, event_id: EventId::from_u128(next) }
    };
    let page = Page {
        root: links.root(),
        style: asset::style_name(),
        caller: Shown::line(reading.caller.name()),
        is_admin: reading.caller.is_admin(),
        overview: links.to("overview", given(&asked)),
        form: Form::of(&asked, &reading.caller, links, ""),
        rows,
        newest: found.is_preceded.then(|| around.link(&[])),
        newer: found.events.first().filter(|_| found.is_preceded).map(|event| around.at("newer", Cursor::of(event))),
        older: found.events.last().filter(|_| found.is_followed).map(|event| around.at("cursor", Cursor::of(event))),
        here: found.events.first().map(|event| around.at("cursor", begins_at(event))),
        exports: ["csv", "json", "ndjson"]
            .map(|format| (format, links.to("export", given(&asked).chain([("format", format)]))))
            .into(),
    };
    page_with_parts(&page, vec![Box::pin(numbers.draw())])
}

/// The filters as they were given.
pub(super) fn given(asked: &Asked) -> impl Iterator<Item = (&str, &str)> {
    asked.given.iter().map(|(name, value)| (*name, value.as_str()))
}

/// One page of events, and whether it is alone.
struct Found {
    events: Vec<AuditEvent>,
    is_preceded: bool,
    is_followed: bool,
}

impl Found {
    async fn read(reading: &Reading, asked: &Asked, filter: &Filter) -> Result<Self, Refusal> {
        let limit = asked.given_limit().unwrap_or(USUAL_LIMIT);
        if let Some(place) = asked.newer {
            let events = newer(reading, filter, place, limit).await?;
            if events.len() == limit {
                return Ok(Self { events, is_preceded: true, is_followed: true });
            }
            // There are not as many: it is the first page.
        }
        // One more than is shown tells whether there is another page.
        let query = Query { after: asked.after, ..Query::new(filter.clone(), limit + 1) };
        let mut events = reading.query(&query).await?;
        let is_followed = events.len() > limit;
        events.truncate(limit);
        Ok(Self { events, is_preceded: asked.after.is_some(), is_followed })
    }
}

/// Links to other pages of the same listing.
struct Around<'a> {
    asked: &'a Asked,
    caller: &'a Caller,
    links: &'a Links,
}

impl Around<'_> {
    fn at(&self, name: &str, place: Cursor) -> String {
        let cursor = self.asked.cursor_at(place, self.caller);
        self.link(&[(name, &cursor)])
    }

    fn link(&self, more: &[(&str, &str)]) -> String {
        let limit = self.asked.given_limit().map(|limit| limit.to_string());
        let limit = limit.as_deref().map(|limit| ("limit", limit));
        self.links.list(given(self.asked).chain(limit).chain(more.iter().copied()))
    }
}

/// The span of the numbers has the page in it, and at least 30 days, unless it was asked for.
fn numbers(reading: &Arc<Reading>, asked: &Asked, filter: Filter, links: &Links, found: &Found) -> Numbers {
    let here = found.events.last().zip(found.events.first()).map(|(last, first)| (last.created_at, first.created_at));
    let until = filter.until.unwrap_or_else(|| {
        let newest = here.map_or(asked.now, |(_, newest)| newest.max(asked.now));
        Timestamp::from_micros_clamped(newest.as_micros() + 1)
    });
    let usual = asked.usual_since(until);
    let since = filter.since.unwrap_or_else(|| here.map_or(usual, |(oldest, _)| oldest.min(usual)));
    let is_alone = !found.is_preceded && !found.is_followed;
    Numbers {
        reading: reading.clone(),
        is_usual_span: filter.since.is_none(),
        is_last_days: filter.since.is_none() && filter.until.is_none() && since == usual,
        filter,
        given: asked.given.clone(),
        links: links.clone(),
        since,
        until,
        here,
        total: is_alone.then_some(found.events.len() as u64),
    }
}

/// To the same page at an address without the fields that were left empty.
pub(super) fn see_other(place: &str) -> Result<Response, Refusal> {
    let place = HeaderValue::try_from(place).map_err(|_| Refusal::Malformed("the query is not ASCII".into()))?;
    let mut response = html("");
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}
