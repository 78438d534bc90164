//! Purges, and the events that they account for.

use crate::event::{AuditEvent, EventId, EventType, Timestamp};
use crate::query::{Cursor, Filter, PageQuery};
use crate::store::{AuditStore, StoreError};

/// The purges that the log has recorded.
#[derive(Debug, Default)]
pub(super) struct Purges {
    /// The times before which, or between which, events were deleted.
    spans: Vec<(Timestamp, Timestamp)>,
}

impl Purges {
    /// Reads the purge events of a store; none if it cannot be read.
    pub(super) async fn read(store: &dyn AuditStore) -> Result<Self, StoreError> {
        let mut purges = Self::default();
        let Some(reader) = store.parts().reader else { return Ok(purges) };
        let filter = Filter::new().event_type(EventType::AUDIT_PURGE.as_str());
        let mut after: Option<Cursor> = None;
        loop {
            let mut query = PageQuery::new(filter.clone(), PAGE);
            query.after = after;
            let page = reader.query(&query).await?;
            purges.spans.extend(page.iter().filter_map(span));
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(Cursor::of(last)),
                _ => return Ok(purges),
            }
        }
    }

    /// Returns true if a purge has deleted events of the time at which this id was made.
    ///
    /// The id is all that is left of the event. Its time is that of the clock that made it; an imported event has its own.
    pub(super) fn account_for(&self, id: EventId) -> bool {
        let millis = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
        let (Some(first), Some(last)) = (
            Timestamp::from_micros(millis.saturating_mul(1000)),
            Timestamp::from_micros(millis.saturating_mul(1000).saturating_add(SLACK_MICROS)),
        ) else {
            return false;
        };
        self.spans.iter().any(|(from, to)| *from <= last && first <= *to)
    }
}

/// Returns the times of the events that a purge has deleted.
fn span(event: &AuditEvent) -> Option<(Timestamp, Timestamp)> {
    let time = |name: &str| event.details.get(name)?.as_str()?.parse::<Timestamp>().ok();
    match (time("cutoff"), time("first").zip(time("last"))) {
        // An earlier purge may have taken what was older, and its own event has gone with it.
        (Some(cutoff), _) => Some((Timestamp::MIN, cutoff)),
        (None, Some(range)) => Some(range),
        (None, None) => None,
    }
}

const PAGE: usize = 500;
/// An id has the milliseconds of its time, and is made a moment before or after `created_at`.
const SLACK_MICROS: i64 = 1_000_000;
