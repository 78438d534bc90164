//! The way back: stores are read from the newest event to older ones, and a page of newer events is the end of such a
//! listing.

use crate::api::authorized::Confined;
use crate::api::confined_filter::ConfinedFilter;
use crate::api::error::ApiError;
use crate::event::{AuditEvent, Timestamp};
use crate::query::Cursor;

/// How many events are looked at in one go.
const WINDOW_EVENTS: usize = 500;

/// Where the search begins: a second.
const FIRST_WINDOW_MICROS: i64 = 1_000_000;

/// The `limit` wanted events that come right before `place` in a listing, newest first; fewer if there are no more.
///
/// One span of time after the other is read from there on, each longer than the one before, and shorter again where it
/// has very many events.
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
        // Very many events of one moment are walked through.
        let mut is_whole = events.len() < enough;
        while !is_whole {
            query = query.after(events.last().map(Cursor::of));
            let more = request.query(&query).await?;
            is_whole = more.len() < enough || more.last().is_some_and(|event| Cursor::of(event) <= place);
            events.extend(more);
            // The farthest are not wanted.
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
