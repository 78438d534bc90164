//! The neighbours of an event: what else its request left, and what its actor did before and after.

use super::newer::newer;
use crate::event::{AuditEvent, Phase, Timestamp};
use crate::query::{Condition, Cursor, Filter, Pattern, Query};
use crate::router::reading::Reading;
use crate::router::refusal::Refusal;

/// How many events on either side are looked through for those of the same request.
pub(super) const LOOKED_THROUGH: usize = 250;

/// No request is looked for farther away than an hour, but for an end that nobody knew until the next start.
const REACH_MICROS: i64 = 3_600_000_000;

/// How many events of the actor there are to see on either side.
const STEPS: usize = 3;

/// The neighbours of an event, all of which its reader may see.
#[derive(Debug)]
pub(super) struct Related {
    /// Of the same request, the oldest first.
    pub(super) of_request: Vec<AuditEvent>,
    /// Of the same actor, the newest first.
    pub(super) after: Vec<AuditEvent>,
    pub(super) before: Vec<AuditEvent>,
}

impl Related {
    pub(super) async fn read(reading: &Reading, event: &AuditEvent) -> Result<Self, Refusal> {
        let own = match reading.caller.confined_to() {
            Some(own) => Filter { user_email: own.into(), ..Filter::default() },
            None => Filter::default(),
        };
        let of_request = of_request(reading, event, &own).await?;
        let Some(filter) = of_actor(event, own) else {
            return Ok(Self { of_request, after: Vec::new(), before: Vec::new() });
        };
        let place = Cursor::of(event);
        let before = Query { after: Some(place), ..Query::new(filter.clone(), STEPS) };
        let before = reading.query(&before).await?;
        let after = newer(reading, &filter, place, STEPS).await?;
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
            let nobody = Condition::none_of([Pattern::any()]);
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
async fn of_request(reading: &Reading, event: &AuditEvent, own: &Filter) -> Result<Vec<AuditEvent>, Refusal> {
    let Some(request_id) = &event.request.request_id else { return Ok(Vec::new()) };
    let route = event
        .resource
        .route
        .as_deref()
        .map_or_else(|| Condition::none_of([Pattern::any()]), |route| Pattern::exactly(route).into());
    let of_route = Filter { route, ..own.clone() };
    let near = around(event, REACH_MICROS, of_route.clone());
    let place = Cursor::of(event);
    let mut found = newer(reading, &near, place, LOOKED_THROUGH).await?;
    found.extend(reading.query(&Query { after: Some(place), ..Query::new(near, LOOKED_THROUGH) }).await?);
    if event.phase == Phase::Started {
        let ends = Filter { phase: Phase::Unknown.into(), ..of_route };
        found.extend(newer(reading, &ends, place, LOOKED_THROUGH).await?);
    }
    if let Some(started) = event.request.started_event_id {
        found.extend(reading.get(started).await?);
    }
    found.retain(|other| other.request.request_id.as_ref() == Some(request_id) && other.event_id != event.event_id);
    found.sort_by_key(AuditEvent::sort_key);
    found.dedup_by_key(|event| event.event_id);
    Ok(found)
}
