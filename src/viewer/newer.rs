//! The way back: stores are read from the newest event to older ones, and a page of newer events is the end of such a
//! listing.

use crate::event::{AuditEvent, Timestamp};
use crate::query::{Cursor, Filter, Query};
use crate::router::reading::Reading;
use crate::router::refusal::Refusal;

/// How many events are looked at in one go.
const WINDOW_EVENTS: usize = 500;

/// Where the search begins: a second.
const FIRST_WINDOW_MICROS: i64 = 1_000_000;

/// The `limit` wanted events that come right before `place` in a listing, newest first; fewer if there are no more.
///
/// They are the last of what is between the place and some later moment. That moment is searched for: so much later
/// that there are enough of them, and not so much that there are many more.
pub(super) async fn newer(
    reading: &Reading,
    filter: &Filter,
    place: Cursor,
    limit: usize,
) -> Result<Vec<AuditEvent>, Refusal> {
    let begin = place.created_at;
    let since = filter.since.map_or(begin, |since| since.max(begin));
    let end = filter.until.unwrap_or(Timestamp::MAX);
    let enough = WINDOW_EVENTS.max(2 * limit);
    let (mut too_short, mut width) = (0_i64, FIRST_WINDOW_MICROS);
    let mut too_long = None;
    loop {
        let until = Timestamp::from_micros_clamped(begin.as_micros().saturating_add(width)).min(end);
        let is_all = until == end;
        let filter =
            Filter { since: Some(since), until: if is_all { filter.until } else { Some(until) }, ..filter.clone() };
        let mut query = Query::new(filter, enough);
        let mut events = reading.query(&query).await?;
        let mut is_whole = events.len() < enough;
        if !is_whole && width - too_short > 1 {
            too_long = Some(width);
            width = too_short + (width - too_short) / 2;
            continue;
        }
        // Very many events of one moment: they are walked through.
        while !is_whole {
            query.after = events.last().map(Cursor::of);
            let more = reading.query(&query).await?;
            is_whole = more.len() < enough;
            events.extend(more);
            events.drain(..events.len() - enough);
        }
        events.retain(|event| Cursor::of(event) > place);
        if events.len() >= limit || is_all {
            events.drain(..events.len().saturating_sub(limit));
            return Ok(events);
        }
        too_short = width;
        width = match too_long {
            Some(too_long) => (too_short + (too_long - too_short) / 2).max(too_short + 1),
            None => width.saturating_mul(8),
        };
    }
}
