//! The neighbours of an event: others of its request, and of its actor before and after.

use super::newer_page::previous_page;
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::api::read_access::Confined;
use crate::event::{AuditEvent, Timestamp};
use crate::query::{Condition, Cursor, TextPattern};

/// The number of events of the same request shown on either side.
const MAX_OF_REQUEST: usize = 50;

/// The time on either side that is searched where the store has no index on requests: an hour.
const SCANNED_SPAN_MICROS: i64 = 3_600_000_000;

/// The number of events of the actor shown on either side.
const MAX_NEIGHBOURS: usize = 3;

/// The neighbours of an event that the caller may see.
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

    /// Returns the number of events.
    pub(super) fn count(&self) -> usize {
        self.of_request.len() + self.after.len() + self.before.len()
    }
}

/// The filter for events of the same actor: by name, or for anonymous ones by address, within a day.
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

/// Returns the events of the same request: those of its route with its request id. A client may choose that id, so there may be
/// any number of them; a store without an index on it is asked about the hour on either side alone.
async fn of_request(request: &Confined, event: &AuditEvent) -> Result<Vec<AuditEvent>, ApiError> {
    let Some(request_id) = &event.request.request_id else { return Ok(Vec::new()) };
    let route = event
        .resource
        .route
        .as_deref()
        .map_or_else(|| Condition::none_of([TextPattern::any()]), |route| TextPattern::exact(route).into());
    let mut of_request = request.everything().with(|filter| {
        filter.route = route;
        filter.request_id = TextPattern::exact(request_id.as_str()).into();
    });
    if !request.has_indexes_for(&of_request) {
        of_request = around(event, SCANNED_SPAN_MICROS, &of_request);
    }
    let place = Cursor::of(event);
    let mut events = previous_page(request, &of_request, place, MAX_OF_REQUEST).await?;
    events.extend(request.query(&of_request.page(MAX_OF_REQUEST).after(Some(place))).await?);
    if let Some(started) = event.request.started_event_id {
        let started = request.get(started).await?;
        events.extend(started.filter(|started| started.request.request_id.as_ref() == Some(request_id)));
    }
    events.sort_by_key(AuditEvent::sort_key);
    events.dedup_by_key(|event| event.event_id);
    Ok(events)
}
