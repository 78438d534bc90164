//! The neighbours of an event: what else its request left, and what its actor did before and after.

use super::previous_page::previous_page;
use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::event::{AuditEvent, Phase, Timestamp};
use crate::query::{Condition, Cursor, Filter, PageQuery, TextPattern};

/// How many events on either side are looked through for those of the same request.
pub(super) const MAX_SCANNED: usize = 250;

/// No request is looked for farther away than an hour, but for an end that nobody knew until the next start.
const SEARCH_SPAN_MICROS: i64 = 3_600_000_000;

/// How many events of the actor there are to see on either side.
const MAX_NEIGHBOURS: usize = 3;

/// The neighbours of an event, all of which its reader may see.
#[derive(Debug)]
pub(super) struct RelatedEvents {
    /// Of the same request, the oldest first.
    pub(super) of_request: Vec<AuditEvent>,
    /// Of the same actor, the newest first.
    pub(super) after: Vec<AuditEvent>,
    pub(super) before: Vec<AuditEvent>,
}

impl RelatedEvents {
    pub(super) async fn read(reading: &Admitted, event: &AuditEvent) -> Result<Self, ApiError> {
        let own = match reading.caller.own_name() {
            Some(own) => Filter { user_email: own.into(), ..Filter::default() },
            None => Filter::default(),
        };
        let of_request = of_request(reading, event, &own).await?;
        let Some(filter) = of_actor(event, own) else {
            return Ok(Self { of_request, after: Vec::new(), before: Vec::new() });
        };
        let place = Cursor::of(event);
        let before = PageQuery { after: Some(place), ..PageQuery::new(filter.clone(), MAX_NEIGHBOURS) };
        let before = reading.query(&before).await?;
        let after = previous_page(reading, &filter, place, MAX_NEIGHBOURS).await?;
        Ok(Self { of_request, after, before })
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.of_request.len() + self.after.len() + self.before.len()
    }
}

/// By name, or who has none, by address, within a day.
fn of_actor(event: &AuditEvent, own: Filter) -> Option<Filter> {
    const DAY: i64 = 86_400_000_000;
    match (&event.actor.user_email, &event.actor.remote_addr) {
        (Some(name), _) => Some(Filter { user_email: name.as_str().into(), ..own }),
        (None, Some(addr)) => {
            let nobody = Condition::none_of([TextPattern::any()]);
            Some(around(event, DAY, Filter { user_email: nobody, remote_addr: addr.as_str().into(), ..own }))
        }
        (None, None) => None,
    }
}

fn around(event: &AuditEvent, reach: i64, filter: Filter) -> Filter {
    let at = |micros| Some(Timestamp::from_micros_clamped(micros));
    let moment = event.created_at.as_micros();
    Filter { since: at(moment - reach), until: at(moment + reach), ..filter }
}

/// No store finds events by their request, so those near by are looked through.
async fn of_request(reading: &Admitted, event: &AuditEvent, own: &Filter) -> Result<Vec<AuditEvent>, ApiError> {
    let Some(request_id) = &event.request.request_id else { return Ok(Vec::new()) };
    let route = event
        .resource
        .route
        .as_deref()
        .map_or_else(|| Condition::none_of([TextPattern::any()]), |route| TextPattern::exact(route).into());
    let of_route = Filter { route, ..own.clone() };
    let near = around(event, SEARCH_SPAN_MICROS, of_route.clone());
    let place = Cursor::of(event);
    let mut found = previous_page(reading, &near, place, MAX_SCANNED).await?;
    found.extend(reading.query(&PageQuery { after: Some(place), ..PageQuery::new(near, MAX_SCANNED) }).await?);
    if event.phase == Phase::Started {
        let ends = Filter { phase: Phase::Unknown.into(), ..of_route };
        found.extend(previous_page(reading, &ends, place, MAX_SCANNED).await?);
    }
    if let Some(started) = event.request.started_event_id {
        found.extend(reading.get(started).await?);
    }
    found.retain(|other| other.request.request_id.as_ref() == Some(request_id) && other.event_id != event.event_id);
    found.sort_by_key(AuditEvent::sort_key);
    found.dedup_by_key(|event| event.event_id);
    Ok(found)
}
