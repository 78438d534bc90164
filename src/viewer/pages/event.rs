//! One event: every field, its neighbours, and its JSON.

use askama::Template;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use http::request::Parts;

use super::error::error_page;
use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::api::handlers::id;
use crate::viewer::assets;
use crate::viewer::event_fields::{DisplayValue, FieldGroup, groups};
use crate::viewer::event_row::EventRow;
use crate::viewer::links::Links;
use crate::viewer::operations::EVENT;
use crate::viewer::related_events::{MAX_SCANNED, RelatedEvents};
use crate::viewer::response::page as answer;
use crate::viewer::safe_html::{PrettyJson, SafeText};
use crate::viewer::state::{SharedState, ViewerState};

#[derive(Template)]
#[template(path = "event.html", config = "src/viewer/askama.toml")]
struct EventPage<'a> {
    root: &'a str,
    style: &'static str,
    caller: SafeText<'a>,
    is_admin: bool,
    id: String,
    row: EventRow<'a>,
    groups: Vec<FieldGroup>,
    details: Option<PrettyJson>,
    has_related: bool,
    has_request_id: bool,
    of_request: Vec<EventRow<'a>>,
    of_actor: Vec<EventRow<'a>>,
    looked_through: usize,
}

pub(in crate::viewer) async fn event(
    State(viewer): State<SharedState>,
    // Bytes that are not UTF-8 are looked at when it is their turn, after who is asking.
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let links = Links::from(Links::ABOVE);
    page(&viewer, &links, params, request.into_parts().0)
        .await
        .unwrap_or_else(|refusal| error_page(&viewer, &links, refusal))
}

async fn page(
    viewer: &ViewerState,
    links: &Links,
    params: Result<RawPathParams, RawPathParamsRejection>,
    head: Parts,
) -> Result<Response, ApiError> {
    let reading = Admitted::admit(viewer.api.clone(), &EVENT, head).await?;
    let now = reading.params()?.now;
    let id = id(params)?;
    let record = reading.access_event().detail("event_id", id.to_string());
    let Some(event) = reading.get(id).await? else {
        reading.record(record.rejected(ApiError::NotFound.status())).await?;
        return Err(ApiError::NotFound);
    };
    // The event is shown even where its neighbours cannot be read.
    let related = RelatedEvents::read(&reading, &event).await.ok();
    let shown = 1 + related.as_ref().map_or(0, RelatedEvents::count);
    reading.record(record.count(shown as u64)).await?;

    let row = |event, relation| EventRow { relation, ..EventRow::of(event, links, now) };
    let (mut of_request, mut of_actor) = (Vec::new(), Vec::new());
    if let Some(related) = &related {
        if !related.of_request.is_empty() {
            let place = related.of_request.partition_point(|other| other.sort_key() < event.sort_key());
            let (earlier, later) = related.of_request.split_at(place);
            of_request.extend(earlier.iter().map(|other| row(other, "before")));
            of_request.push(row(&event, "this"));
            of_request.extend(later.iter().map(|other| row(other, "after")));
        }
        if !related.after.is_empty() || !related.before.is_empty() {
            of_actor.extend(related.after.iter().map(|other| row(other, "after")));
            of_actor.push(row(&event, "this"));
            of_actor.extend(related.before.iter().map(|other| row(other, "before")));
        }
    }
    answer(&EventPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(reading.caller.name()),
        is_admin: reading.caller.is_admin(),
        id: event.event_id.to_string(),
        row: EventRow::of(&event, links, now),
        groups: groups(&event, &reading.caller, links),
        details: Some(PrettyJson::of(&event.details)).filter(|_| !event.details.is_empty()),
        has_related: related.is_some(),
        has_request_id: event.request.request_id.is_some(),
        of_request,
        of_actor,
        looked_through: MAX_SCANNED,
    })
}
