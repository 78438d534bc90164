//! One event: every field, its neighbours, and its JSON.

use askama::Template;
use axum::response::Response;

use super::PageRequest;
use crate::api::Caller;
use crate::api::error::ApiError;
use crate::api::read_access::Recorded;
use crate::event::{AuditEvent, Target, Timestamp};
use crate::viewer::assets;
use crate::viewer::change_rows::ChangeRows;
use crate::viewer::event_fields::{DisplayValue, FieldGroup, groups};
use crate::viewer::event_row::EventRow;
use crate::viewer::event_seal::SealSummary;
use crate::viewer::links::Links;
use crate::viewer::related_events::RelatedEvents;
use crate::viewer::response::page as answer;
use crate::viewer::safe_html::{PrettyJson, SafeText};

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
    targets: Vec<TargetLinks<'a>>,
    changes: ChangeRows<'a>,
    details: Option<PrettyJson>,
    seal: Option<SealSummary<'a>>,
    has_related: bool,
    has_request_id: bool,
    of_request: Vec<EventRow<'a>>,
    of_actor: Vec<EventRow<'a>>,
}

/// An object of the event, and the links to its history and its events.
struct TargetLinks<'a> {
    target_type: SafeText<'a>,
    id: SafeText<'a>,
    label: Option<SafeText<'a>>,
    history: String,
    list: String,
}

impl<'a> TargetLinks<'a> {
    fn of(target: &'a Target, links: &Links) -> Self {
        let text = target.to_string();
        Self {
            target_type: SafeText::line(&target.target_type),
            id: SafeText::line(&target.id),
            label: target.label.as_deref().map(SafeText::line),
            history: links.to("history", [("target", text.as_str())]),
            list: links.list([("target", text.as_str())]),
        }
    }
}

/// Shows one event and its neighbours.
pub(in crate::viewer) async fn event(request: PageRequest) -> Result<Recorded<Response>, ApiError> {
    let PageRequest { admitted, links } = request;
    let params = admitted.params()?;
    let id = admitted.id()?;
    let request = admitted.confine(&params).await?;
    let access = request.access_event().detail("event_id", id.to_string());
    let event = request.find(id, &access).await?;
    // The event is shown even where its neighbours cannot be read.
    let related = RelatedEvents::read(&request, &event).await.ok();
    let count = 1 + related.as_ref().map_or(0, RelatedEvents::count);
    #[cfg(feature = "seal")]
    let seal = request.seal_state(&event).await.ok();
    #[cfg(not(feature = "seal"))]
    let seal = ();
    let shown = request.record(access.count(count as u64), (event, related, seal)).await?;
    shown.try_map(|(event, related, seal)| {
        #[cfg(feature = "seal")]
        let seal = seal.as_ref().and_then(|seal| SealSummary::of(seal, params.now));
        #[cfg(not(feature = "seal"))]
        let seal = {
            let () = seal;
            None
        };
        page(&event, related.as_ref(), seal, request.caller(), &links, params.now)
    })
}

fn page(
    event: &AuditEvent,
    related: Option<&RelatedEvents>,
    seal: Option<SealSummary<'_>>,
    caller: &Caller,
    links: &Links,
    now: Timestamp,
) -> Result<Response, ApiError> {
    let row = |event, relation| EventRow { relation, ..EventRow::of(event, links, now) };
    let (mut of_request, mut of_actor) = (Vec::new(), Vec::new());
    if let Some(related) = related {
        if !related.of_request.is_empty() {
            let place = related.of_request.partition_point(|other| other.sort_key() < event.sort_key());
            let (earlier, later) = related.of_request.split_at(place);
            of_request.extend(earlier.iter().map(|other| row(other, "before")));
            of_request.push(row(event, "this"));
            of_request.extend(later.iter().map(|other| row(other, "after")));
        }
        if !related.after.is_empty() || !related.before.is_empty() {
            of_actor.extend(related.after.iter().map(|other| row(other, "after")));
            of_actor.push(row(event, "this"));
            of_actor.extend(related.before.iter().map(|other| row(other, "before")));
        }
    }
    answer(&EventPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(caller.name()),
        is_admin: caller.is_admin(),
        id: event.event_id.to_string(),
        row: EventRow::of(event, links, now),
        groups: groups(event, caller, links),
        targets: event.targets.iter().map(|target| TargetLinks::of(target, links)).collect(),
        changes: ChangeRows::of(event),
        details: Some(PrettyJson::of(&event.details)).filter(|_| !event.details.is_empty()),
        seal,
        has_related: related.is_some(),
        has_request_id: event.request.request_id.is_some(),
        of_request,
        of_actor,
    })
}
