//! The table of events.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;

use super::PageRequest;
use crate::api::Caller;
use crate::api::error::ApiError;
use crate::api::form_urlencoded::decode;
use crate::api::query_params::Params;
use crate::api::read_access::{Confined, Recorded};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::Cursor;
use crate::viewer::assets;
use crate::viewer::event_row::EventRow;
use crate::viewer::filter_form::{FilterForm, strip_empty_fields};
use crate::viewer::histogram::HistogramRequest;
use crate::viewer::links::{Links, raw_filters, redirect};
use crate::viewer::newer_page::previous_page;
use crate::viewer::response::page_with_parts;
use crate::viewer::safe_html::SafeText;
use crate::viewer::search::{self, Search};

/// The longest text of the search box.
const MAX_SEARCH_BYTES: usize = 2048;

/// The default page size.
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

/// Shows a page of events.
pub(in crate::viewer) async fn events(request: PageRequest) -> Result<Recorded<Response>, ApiError> {
    let PageRequest { admitted, links } = request;
    if let Some(query) = strip_empty_fields(admitted.head().uri.query()) {
        return redirect(&format!("{}{query}", links.root()));
    }
    if let Some(text) = searched(admitted.head().uri.query())? {
        return redirect(&match search::read(&text, Timestamp::now()).map_err(ApiError::BadRequest)? {
            Search::Event(id) => links.event(id),
            Search::Filters(pairs) => links.list(pairs.iter().map(|(name, value)| (*name, value.as_str()))),
        });
    }
    let params = admitted.params()?.folded_by_default();
    let request = Arc::new(admitted.confine(&params).await?);
    let page = LoadedPage::read(&request, &params).await?;
    let access = request.access_event().params(&params).count(page.events.len() as u64);
    let page = request.record(access, page).await?;
    page.try_map(|page| render(&request, &params, &links, &page))
}

/// Returns the text of the search box, if the query string is that of the box.
fn searched(query: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(text) = query.and_then(|query| query.strip_prefix("q=")).filter(|text| !text.contains('&')) else {
        return Ok(None);
    };
    let text = decode(text).map_err(|why| ApiError::BadRequest(format!("q: its value {why}")))?;
    if text.len() > MAX_SEARCH_BYTES {
        return Err(ApiError::BadRequest(format!("q: its value has more than {MAX_SEARCH_BYTES} bytes")));
    }
    Ok(Some(text.into_owned()))
}

fn render(request: &Arc<Confined>, params: &Params, links: &Links, loaded: &LoadedPage) -> Result<Response, ApiError> {
    let histogram = histogram_request(request, params, links, loaded);
    let rows = loaded.events.iter().map(|event| EventRow::of(event, links, params.now)).collect();
    let around = PageLinks { params, caller: request.caller(), links };
    let begins_at = |event: &AuditEvent| {
        let next = event.event_id.as_u128().saturating_add(1);
        Cursor { created_at: event.created_at, event_id: EventId::from_u128(next) }
    };
    let (first, last) = (loaded.events.first(), loaded.events.last());
    let page = EventsPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(request.caller().name()),
        is_admin: request.caller().is_admin(),
        overview: links.to("overview", raw_filters(params)),
        form: FilterForm::of(params, request.caller(), links, ""),
        rows,
        newest: loaded.is_preceded.then(|| around.link(&[])),
        newer: first.filter(|_| loaded.is_preceded).map(|event| around.at("newer", Cursor::of(event))),
        older: last.filter(|_| loaded.is_followed).map(|event| around.at("cursor", Cursor::of(event))),
        here: first.map(|event| around.at("cursor", begins_at(event))),
        exports: ["csv", "json", "jsonl"]
            .map(|format| {
                let others = raw_filters(params).filter(|(name, _)| *name != "folded");
                let folded = params.filter.folded.then_some(("folded", "true"));
                (format, links.to("export", others.chain(folded).chain([("format", format)])))
            })
            .into(),
    };
    page_with_parts(&page, vec![Box::pin(histogram.draw())])
}

/// A page of events, and if there are others.
pub(super) struct LoadedPage {
    pub(super) events: Vec<AuditEvent>,
    pub(super) is_preceded: bool,
    pub(super) is_followed: bool,
}

impl LoadedPage {
    pub(super) async fn read(request: &Confined, params: &Params) -> Result<Self, ApiError> {
        let limit = params.explicit_limit().unwrap_or(DEFAULT_LIMIT);
        if let Some(place) = params.newer {
            let events = previous_page(request, request.filter(), place, limit).await?;
            if events.len() == limit {
                return Ok(Self { events, is_preceded: true, is_followed: true });
            }
            // Fewer newer events than a page has: show the first page.
        }
        // One more event than the page has tells whether there is another page.
        let query = request.filter().page(limit + 1).after(params.after);
        let mut events = request.query(&query).await?;
        let is_followed = events.len() > limit;
        events.truncate(limit);
        Ok(Self { events, is_preceded: params.after.is_some(), is_followed })
    }
}

/// Links to other pages of the same listing.
struct PageLinks<'a> {
    params: &'a Params,
    caller: &'a Caller,
    links: &'a Links,
}

impl PageLinks<'_> {
    fn at(&self, name: &str, place: Cursor) -> String {
        let cursor = self.params.cursor_at(place, self.caller);
        self.link(&[(name, &cursor)])
    }

    fn link(&self, more: &[(&str, &str)]) -> String {
        let limit = self.params.explicit_limit().map(|limit| limit.to_string());
        let limit = limit.as_deref().map(|limit| ("limit", limit));
        self.links.list(raw_filters(self.params).chain(limit).chain(more.iter().copied()))
    }
}

/// The histogram covers the filter's time range, or else the page and at least 30 days.
fn histogram_request(request: &Arc<Confined>, params: &Params, links: &Links, page: &LoadedPage) -> HistogramRequest {
    let filter = request.filter().clone();
    let here = page.events.last().zip(page.events.first()).map(|(last, first)| (last.created_at, first.created_at));
    let until = filter.until.unwrap_or_else(|| {
        let newest = here.map_or(params.now, |(_, newest)| newest.max(params.now));
        Timestamp::from_micros_clamped(newest.as_micros() + 1)
    });
    let usual = params.default_since(until);
    let since = filter.since.unwrap_or_else(|| here.map_or(usual, |(oldest, _)| oldest.min(usual)));
    let is_alone = !page.is_preceded && !page.is_followed;
    HistogramRequest {
        request: request.clone(),
        is_default_span: filter.since.is_none(),
        is_last_days: filter.since.is_none() && filter.until.is_none() && since == usual,
        filter,
        given: params.raw_filters.clone(),
        links: links.clone(),
        since,
        until,
        page_span: here,
        total: is_alone.then_some(page.events.len() as u64),
    }
}
