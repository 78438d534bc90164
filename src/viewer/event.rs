//! One event: every field, its neighbours, and its JSON.

use askama::Template;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use http::request::Parts;

use super::answer::page as answer;
use super::asset;
use super::facts::{Group, Held, groups};
use super::links::Links;
use super::mount::{Shared, Viewer};
use super::operation::EVENT;
use super::refused::refused;
use super::related::{LOOKED_THROUGH, Related};
use super::row::Row;
use super::text::{Json, Shown};
use crate::router::get::id;
use crate::router::reading::Reading;
use crate::router::record::Record;
use crate::router::refusal::Refusal;

#[derive(Template)]
#[template(path = "event.html", config = "src/viewer/askama.toml")]
struct Page<'a> {
    root: &'a str,
    style: &'static str,
    caller: Shown<'a>,
    is_admin: bool,
    id: String,
    row: Row<'a>,
    groups: Vec<Group>,
    details: Option<Json>,
    has_related: bool,
    has_request_id: bool,
    of_request: Vec<Row<'a>>,
    of_actor: Vec<Row<'a>>,
    looked_through: usize,
}

pub(super) async fn event(
    State(viewer): State<Shared>,
    // Bytes that are not UTF-8 are looked at when it is their turn, after who is asking.
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let links = Links::from(Links::ABOVE);
    page(&viewer, &links, params, request.into_parts().0)
        .await
        .unwrap_or_else(|refusal| refused(&viewer, &links, refusal))
}

async fn page(
    viewer: &Viewer,
    links: &Links,
    params: Result<RawPathParams, RawPathParamsRejection>,
    head: Parts,
) -> Result<Response, Refusal> {
    let reading = Reading::admit(viewer.api.clone(), &EVENT, head).await?;
    let now = reading.asked()?.now;
    let id = id(params)?;
    let record = Record::of(&reading).detail("event_id", id.to_string());
    let Some(event) = reading.get(id).await? else {
        reading.record(record.refused(Refusal::NotFound.status())).await?;
        return Err(Refusal::NotFound);
    };
    // The event is shown even where its neighbours cannot be read.
    let related = Related::read(&reading, &event).await.ok();
    let shown = 1 + related.as_ref().map_or(0, Related::count);
    reading.record(record.count(shown as u64)).await?;

    let row = |event, relation| Row { relation, ..Row::of(event, links, now) };
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
    answer(&Page {
        root: links.root(),
        style: asset::style_name(),
        caller: Shown::line(reading.caller.name()),
        is_admin: reading.caller.is_admin(),
        id: event.event_id.to_string(),
        row: Row::of(&event, links, now),
        groups: groups(&event, &reading.caller, links),
        details: Some(Json::of(&event.details)).filter(|_| !event.details.is_empty()),
        has_related: related.is_some(),
        has_request_id: event.request.request_id.is_some(),
        of_request,
        of_actor,
        looked_through: LOOKED_THROUGH,
    })
}
