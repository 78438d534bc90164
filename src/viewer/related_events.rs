//! The neighbours of an event: what else its request left, and what its actor did before and after.

use super::previous_page::previous_page;
use crate::api::authorized::Confined;
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::event::{AuditEvent, Phase, Timestamp};
use crate::query::{Condition, Cursor, TextPattern};

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
    pub(super) async fn read(request: &Confined, event: &AuditEvent) -> Result<Self, ApiError> {
        let of_request = of_request(request, event).await?;
        let Some(filter) = of_actor(event, &request.everything()) else {
            return Ok(Self { of_request, after: Vec::new(), before: Vec::new() });
        };
        let place = Cursor::of(event);
        let before = request.query(&filter.page(MAX_NEIGHBOURS).after(Some(place))).await?;
        let after = previous_page(request, &filter, place, MAX_NEIGHBOURS).await?;
        Ok(Self { of_request, after, before })
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.of_request.len() + self.after.len() + self.before.len()
    }
}

/// By name, or who has none, by address, within a day.
fn of_actor(event: &AuditEvent, visible: &ConfinedFilter) -> Option<ConfinedFilter> {
    const DAY: i64 = 86_400_000_000;
    match (&event.actor.user_email, &event.actor.remote_addr) {
        (Some(name), _) => Some(visible.with(|filter| filter.user_email = name.as_str().into())),
        (None, Some(addr)) => {
            let anonymous = visible.with(|filter| {
                filter.user_email = Condition::none_of([TextPattern::any()]);
                filter.remote_addr = addr.as_str().into();
            });
            Some(around(event, DAY, &anonymous))
        }
        (None, None) => None,
    }
}

fn around(event: &AuditEvent, reach: i64, filter: &ConfinedFilter) -> ConfinedFilter {
    let at = |micros| Some(Timestamp::from_micros_clamped(micros));
    let moment = event.created_at.as_micros();
    filter.with(|filter| (filter.since, filter.until) = (at(moment - reach), at(moment + reach)))
}

/// No store finds events by their request, so those near by are looked through.
async fn of_request(request: &Confined, event: &AuditEvent) -> Result<Vec<AuditEvent>, ApiError> {
    let Some(request_id) = &event.request.request_id else { return Ok(Vec::new()) };
    let route = event
        .resource
        .route
        .as_deref()
        .map_or_else(|| Condition::none_of([TextPattern::any()]), |route| TextPattern::exact(route).into());
    let of_route = request.everything().with(|filter| filter.route = route);
    let near = around(event, SEARCH_SPAN_MICROS, &of_route);
    let place = Cursor::of(event);
    let mut events = previous_page(request, &near, place, MAX_SCANNED).await?;
    events.extend(request.query(&near.page(MAX_SCANNED).after(Some(place))).await?);
    if event.phase == Phase::Started {
        let ends = of_route.with(|filter| filter.phase = Phase::Unknown.into());
        events.extend(previous_page(request, &ends, place, MAX_SCANNED).await?);
    }
    if let Some(started) = event.request.started_event_id {
        events.extend(request.get(started).await?);
    }
    events.retain(|other| other.request.request_id.as_ref() == Some(request_id) && other.event_id != event.event_id);
    events.sort_by_key(AuditEvent::sort_key);
    events.dedup_by_key(|event| event.event_id);
    Ok(events)
}
