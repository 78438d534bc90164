//! The table of events.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;

use super::error::error_page;
use crate::api::Caller;
use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::api::params::Params;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Cursor, Filter, PageQuery};
use crate::viewer::assets;
use crate::viewer::event_row::EventRow;
use crate::viewer::filter_form::{FilterForm, strip_empty_fields};
use crate::viewer::histogram::HistogramRequest;
use crate::viewer::links::{Links, raw_filters, redirect};
use crate::viewer::operations::EVENTS;
use crate::viewer::previous_page::previous_page;
use crate::viewer::response::page_with_parts;
use crate::viewer::safe_html::SafeText;
use crate::viewer::state::{SharedState, ViewerState};

/// How many events a page has if nobody says otherwise.
const DEFAULT_LIMIT: usize = 50;

#[derive(Template)]
#[template(path = "events.html", config = "src/viewer/askama.toml")]
struct EventsPage<'a> {
    root: &'a str,
    style: &'static str,
    caller: SafeText<'a>,
    is_admin: bool,
    overview: String,
    form: FilterForm<'a>,
    rows: Vec<EventRow<'a>>,
    newest: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    here: Option<String>,
    exports: Vec<(&'static str, String)>,
}

pub(in crate::viewer) async fn events(State(viewer): State<SharedState>, request: Request) -> Response {
    let head = request.into_parts().0;
    let links = Links::from_mount(&head);
    page(&viewer, &links, head).await.unwrap_or_else(|refusal| error_page(&viewer, &links, refusal))
}

async fn page(viewer: &ViewerState, links: &Links, head: Parts) -> Result<Response, ApiError> {
    let reading = Arc::new(Admitted::admit(viewer.api.clone(), &EVENTS, head).await?);
    if let Some(clean) = strip_empty_fields(reading.head.uri.query()) {
        return redirect(&format!("{}{clean}", links.root()));
    }
    let asked = reading.params()?;
    let filter = reading.confine(&asked).await?;
    let found = LoadedPage::read(&reading, &asked, &filter).await?;
    reading.record(reading.access_event().asked(&asked).count(found.events.len() as u64)).await?;

    let numbers = histogram_request(&reading, &asked, filter, links, &found);
    let rows = found.events.iter().map(|event| EventRow::of(event, links, asked.now)).collect();
    let around = PageLinks { asked: &asked, caller: &reading.caller, links };
    let begins_at = |event: &AuditEvent| {
        let next = event.event_id.as_u128().saturating_add(1);
        Cursor { created_at: event.created_at, event_id: EventId::from_u128(next) }
    };
    let page = EventsPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(reading.caller.name()),
        is_admin: reading.caller.is_admin(),
        overview: links.to("overview", raw_filters(&asked)),
        form: FilterForm::of(&asked, &reading.caller, links, ""),
        rows,
        newest: found.is_preceded.then(|| around.link(&[])),
        newer: found.events.first().filter(|_| found.is_preceded).map(|event| around.at("newer", Cursor::of(event))),
        older: found.events.last().filter(|_| found.is_followed).map(|event| around.at("cursor", Cursor::of(event))),
        here: found.events.first().map(|event| around.at("cursor", begins_at(event))),
        exports: ["csv", "json", "ndjson"]
            .map(|format| (format, links.to("export", raw_filters(&asked).chain([("format", format)]))))
            .into(),
    };
    page_with_parts(&page, vec![Box::pin(numbers.draw())])
}

/// One page of events, and whether it is alone.
struct LoadedPage {
    events: Vec<AuditEvent>,
    is_preceded: bool,
    is_followed: bool,
}

impl LoadedPage {
    async fn read(reading: &Admitted, asked: &Params, filter: &Filter) -> Result<Self, ApiError> {
        let limit = asked.explicit_limit().unwrap_or(DEFAULT_LIMIT);
        if let Some(place) = asked.newer {
            let events = previous_page(reading, filter, place, limit).await?;
            if events.len() == limit {
                return Ok(Self { events, is_preceded: true, is_followed: true });
            }
            // There are not as many: it is the first page.
        }
        // One more than is shown tells whether there is another page.
        let query = PageQuery { after: asked.after, ..PageQuery::new(filter.clone(), limit + 1) };
        let mut events = reading.query(&query).await?;
        let is_followed = events.len() > limit;
        events.truncate(limit);
        Ok(Self { events, is_preceded: asked.after.is_some(), is_followed })
    }
}

/// Links to other pages of the same listing.
struct PageLinks<'a> {
    asked: &'a Params,
    caller: &'a Caller,
    links: &'a Links,
}

impl PageLinks<'_> {
    fn at(&self, name: &str, place: Cursor) -> String {
        let cursor = self.asked.cursor_at(place, self.caller);
        self.link(&[(name, &cursor)])
    }

    fn link(&self, more: &[(&str, &str)]) -> String {
        let limit = self.asked.explicit_limit().map(|limit| limit.to_string());
        let limit = limit.as_deref().map(|limit| ("limit", limit));
        self.links.list(raw_filters(self.asked).chain(limit).chain(more.iter().copied()))
    }
}

/// The span of the numbers has the page in it, and at least 30 days, unless it was asked for.
fn histogram_request(
    reading: &Arc<Admitted>,
    asked: &Params,
    filter: Filter,
    links: &Links,
    found: &LoadedPage,
) -> HistogramRequest {
    let here = found.events.last().zip(found.events.first()).map(|(last, first)| (last.created_at, first.created_at));
    let until = filter.until.unwrap_or_else(|| {
        let newest = here.map_or(asked.now, |(_, newest)| newest.max(asked.now));
        Timestamp::from_micros_clamped(newest.as_micros() + 1)
    });
    let usual = asked.default_since(until);
    let since = filter.since.unwrap_or_else(|| here.map_or(usual, |(oldest, _)| oldest.min(usual)));
    let is_alone = !found.is_preceded && !found.is_followed;
    HistogramRequest {
        reading: reading.clone(),
        is_default_span: filter.since.is_none(),
        is_last_days: filter.since.is_none() && filter.until.is_none() && since == usual,
        filter,
        given: asked.raw_filters.clone(),
        links: links.clone(),
        since,
        until,
        page_span: here,
        total: is_alone.then_some(found.events.len() as u64),
    }
}
