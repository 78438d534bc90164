//! The page of newer events. Stores list from the newest event on, so it is the end of a listing.

use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::api::read_access::Confined;
use crate::event::{AuditEvent, Timestamp};
use crate::query::Cursor;

/// The page size of the search.
const WINDOW_EVENTS: usize = 500;

/// The width of the first window: a second.
const FIRST_WINDOW_MICROS: i64 = 1_000_000;

/// Returns the `limit` events directly before `place` in a listing, newest first; fewer if there are no more.
///
/// It reads windows of time from `place` on. Each is eight times as long as the one before, and an eighth if it has more
/// events than a page of the search.
pub(super) async fn previous_page(
    request: &Confined,
    filter: &ConfinedFilter,
    place: Cursor,
    limit: usize,
) -> Result<Vec<AuditEvent>, ApiError> {
    let enough = WINDOW_EVENTS.max(limit + 1);
    let end = filter.until.unwrap_or(Timestamp::MAX);
    let (mut begin, mut width) = (place.created_at, FIRST_WINDOW_MICROS);
    let mut found = Vec::new();
    loop {
        let until = Timestamp::from_micros_clamped(begin.as_micros().saturating_add(width)).min(end);
        let is_last = until == end;
        let since = Some(filter.since.map_or(begin, |since| since.max(begin)));
        let until = if is_last { filter.until } else { Some(until) };
        let mut query = filter.with(|filter| (filter.since, filter.until) = (since, until)).page(enough);
        let mut events = request.query(&query).await?;
        if events.len() == enough && width > 1 {
            width = (width / 8).max(1);
            continue;
        }
        // A microsecond with more events than a page: read every page of it.
        let mut is_whole = events.len() < enough;
        while !is_whole {
            query = query.after(events.last().map(Cursor::of));
            let more = request.query(&query).await?;
            is_whole = more.len() < enough || more.last().is_some_and(|event| Cursor::of(event) <= place);
            events.extend(more);
            // Only the events nearest to `place` are returned.
            events.drain(..events.len().saturating_sub(2 * enough));
        }
        events.retain(|event| Cursor::of(event) > place);
        events.append(&mut found);
        found = events;
        match until {
            Some(until) if found.len() < limit && !is_last => begin = until,
            _ => {
                found.drain(..found.len().saturating_sub(limit));
                return Ok(found);
            }
        }
        width = width.saturating_mul(8);
    }
}
