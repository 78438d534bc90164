//! Events without a leaf, on servers whose rows do not tell when they were committed.
//!
//! Ids have the time at which the event was made, so:
//!
//! 1. Events from a *position* on, an id, are compared with the leaves. Before the position, no event is still to be committed, as far as the
//!    server can tell ([`UnsealedSource::pending`]); [`GRACE_MILLIS`] are for the clocks of writers and their retries. A transaction that is open for hours, or a writer whose
//!    clock is ahead, makes these many. So those of the last seconds are compared at each look, and all of them in a tenth of the time ([`Pace`]).
//! 2. An event may still come later: a writer's clock is minutes behind, or the log owed it for long. So the events before the position are swept as well,
//!    [`CHUNK`] of the newest and as many of the others at each look; many more, but not all the time, when one of them was without a leaf.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::event::{AuditEvent, EventId};
use crate::store::{StoreError, UnsealedEvents};

/// A session that looks for events without a leaf.
pub(crate) trait UnsealedSource: Send {
    /// Returns true if the database has leaves.
    fn has_leaves(&self) -> bool;

    /// Returns the time by the server's clock, in milliseconds. The first read of a look.
    fn now_millis(&mut self) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Returns the events from `low` on whose transactions may still be open. They are read before [`newer`](Self::newer) reads events.
    fn pending(&mut self, low: EventId, recent: EventId) -> impl Future<Output = Result<Pending, StoreError>> + Send;

    /// Returns events from `low` on, and before `end` if there is one, that have no leaf; the smallest ids first.
    fn newer(
        &mut self,
        low: EventId,
        end: Option<EventId>,
        at_most: usize,
    ) -> impl Future<Output = Result<Vec<AuditEvent>, StoreError>> + Send;

    /// Looks at the [`CHUNK`] events below an id. Returns those without a leaf, and the smallest id; none if there are no more.
    fn older(
        &mut self,
        below: EventId,
    ) -> impl Future<Output = Result<(Vec<EventId>, Option<EventId>), StoreError>> + Send;

    /// Returns those of these events that are there.
    fn events(&mut self, ids: &[EventId]) -> impl Future<Output = Result<Vec<AuditEvent>, StoreError>> + Send;
}

/// Events that a look may not see, because their transactions are open.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Ids of events without a leaf, in their order. Some may be committed since.
    pub(crate) ids: Vec<EventId>,
    /// Before this id, no other event is still to come, as far as clocks can be trusted.
    pub(crate) until: EventId,
}

impl Pending {
    /// Returns the id before which no event is still to come, once these are sealed.
    fn settled(&self, found: &[AuditEvent]) -> EventId {
        let found: HashSet<EventId> = found.iter().map(|event| event.event_id).collect();
        let open = self.ids.iter().find(|id| !found.contains(id));
        open.map_or(self.until, |open| self.until.min(*open))
    }
}

/// The knowledge of a store about events before its position.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    state: Mutex<SweepState>,
}

#[derive(Debug, Default)]
struct SweepState {
    /// The pace of comparing all events from the position on.
    pace: Pace,
    /// The sweep goes on below this id, and begins anew when it is none.
    below: Option<EventId>,
    /// A late event was found since the sweep began: it is not slowed down before the next whole round.
    has_found: bool,
}

impl Sweep {
    fn lock(&self) -> MutexGuard<'_, SweepState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next events without a leaf.
    pub(crate) async fn unsealed(
        &self,
        source: &mut impl UnsealedSource,
        position: &str,
        at_most: usize,
    ) -> Result<UnsealedEvents, StoreError> {
        let now = source.now_millis().await?;
        let (recent, soon) = (id_at(now - GRACE_MILLIS), id_at(now + GRACE_MILLIS));
        let position = match Position::read(position) {
            // The server's clock was ahead once.
            Position::From(low) => Position::From(low.min(recent)),
            scan @ Position::Scan(_) => scan,
        };
        let (low, begun) = (position.low(), Instant::now());
        let is_whole = matches!(position, Position::Scan(_)) || self.lock().pace.is_due(begun);
        let mut pending = match position {
            Position::From(low) if is_whole => Some(source.pending(low, recent).await?),
            _ => None,
        };
        let (first, end) = if is_whole { (low, None) } else { (recent, Some(soon)) };
        let mut events = source.newer(first, end, at_most).await?;
        if matches!(position, Position::Scan(_)) && events.len() < at_most {
            // The end of the scan. It may have passed the event of a transaction that is still open.
            pending = Some(source.pending(EventId::from_u128(0), recent).await?);
            events = source.newer(low, None, at_most).await?;
        }
        let settled = pending.map(|pending| pending.settled(&events));
        if events.len() >= at_most {
            let last = events.iter().map(|event| event.event_id).max().unwrap_or(low);
            let next = match (position, settled) {
                (Position::Scan(_), _) => Position::Scan(EventId::from_u128(last.as_u128().saturating_add(1))),
                (Position::From(_), Some(settled)) => Position::From(last.min(settled).max(low)),
                (Position::From(_), None) => position,
            };
            return Ok(UnsealedEvents { events, position: next.to_string(), has_more: true });
        }
        let mut has_more = false;
        if let (true, Position::From(_)) = (source.has_leaves(), position) {
            if is_whole {
                let now = Instant::now();
                self.lock().pace.note(now - begun, now);
            }
            let late = self.late(source, low, at_most - events.len()).await?;
            has_more = late.has_more;
            events.extend(late.events);
        }
        let next = match (position, settled) {
            (Position::Scan(_), Some(settled)) => Position::From(settled),
            (Position::From(_), Some(settled)) => Position::From(settled.max(low)),
            (_, None) => position,
        };
        Ok(UnsealedEvents { events, position: next.to_string(), has_more })
    }

    /// Returns events below this id that have no leaf.
    async fn late(&self, source: &mut impl UnsealedSource, low: EventId, room: usize) -> Result<Late, StoreError> {
        let (mut ids, near_end) = source.older(low).await?;
        let (below, had_found) = {
            let state = self.lock();
            (state.below, state.has_found)
        };
        // The newest have just been looked at.
        let from = below.or(near_end);
        let (mut end, begun) = (from, Instant::now());
        while let Some(next) = end {
            let (more, after) = source.older(next).await?;
            ids.extend(more);
            end = after;
            if !had_found || ids.len() >= room || begun.elapsed() >= HURRY {
                break;
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let is_cut = ids.len() > room;
        ids.truncate(room);
        let has_found = !ids.is_empty();
        {
            let mut state = self.lock();
            state.below = match (is_cut, has_found && !had_found) {
                // The first of them: everything is looked through.
                (_, true) => None,
                (true, false) => from,
                (false, false) => end,
            };
            // A round without a find ends the hurry.
            state.has_found = has_found || (had_found && end.is_some());
        }
        let events = if has_found { source.events(&ids).await? } else { Vec::new() };
        Ok(Late { events, has_more: has_found })
    }
}

struct Late {
    events: Vec<AuditEvent>,
    has_more: bool,
}

/// Returns the least id of an event that is made at this time.
pub(crate) fn id_at(millis: i64) -> EventId {
    EventId::from_u128(u128::from(millis.max(0).cast_unsigned()) << 80)
}

/// A position among the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Every event is gone through once, from this id on.
    Scan(EventId),
    /// Events from this id on are new; those before it are swept.
    From(EventId),
}

impl Position {
    /// Reads a position. One that is none is the beginning.
    fn read(text: &str) -> Self {
        match text.strip_prefix(SCAN) {
            Some(id) => Self::Scan(id.parse().unwrap_or(EventId::from_u128(0))),
            None => text.parse().map_or(Self::Scan(EventId::from_u128(0)), Self::From),
        }
    }

    fn low(self) -> EventId {
        match self {
            Self::Scan(id) | Self::From(id) => id,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scan(id) => write!(f, "{SCAN}{id}"),
            Self::From(id) => id.fmt(f),
        }
    }
}

/// The time by which an event may be inserted after it was made, beyond the time of its transaction.
pub(crate) const GRACE_MILLIS: i64 = 10_000;
pub(crate) const CHUNK: usize = 4096;
/// The time of a look that a hurried sweep may take. The sealer looks once a second.
const HURRY: Duration = Duration::from_millis(100);
const SCAN: &str = "scan:";
