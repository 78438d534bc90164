//! Events without a leaf.
//!
//! Nothing in a row tells when it was committed. Ids have the time at which the event was made, so:
//!
//! 1. Events from a *position* on, an id, are compared with the leaves. The position is the time before which no transaction is
//!    open any more ([`Horizon`]), less [`GRACE_MILLIS`] for the clocks of writers and their retries. A transaction that is open for hours, or a writer whose
//!    clock is ahead, makes these many. So those of the last seconds are compared at each look, and all of them in a tenth of the time ([`Pace`]).
//! 2. An event may still come later: a writer's clock is minutes behind, or the log owed it for long. So the events before the position are swept as well,
//!    [`CHUNK`] of the newest and as many of the others at each look; many more, but not all the time, when one of them was without a leaf.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::horizon::Horizon;
use super::pace::Pace;
use super::tables;
use crate::event::{AuditEvent, EventId};
use crate::store::postgres::error::DuringOperation as _;
use crate::store::postgres::identifiers::{Identifiers, LEAVES};
use crate::store::postgres::row::{columns, event_of};
use crate::store::{StoreError, UnsealedEvents};

/// The knowledge of a store about events before its position.
#[derive(Debug, Default)]
pub(in crate::store::postgres) struct Sweep {
    state: Mutex<SweepState>,
}

#[derive(Debug, Default)]
struct SweepState {
    horizon: Horizon,
    /// The pace of comparing all events from the position on.
    pace: Pace,
    /// The sweep goes on below this id, and begins anew when it is none.
    below: Option<Uuid>,
    /// A late event was found since the sweep began: it is not slowed down before the next whole round.
    has_found: bool,
}

impl Sweep {
    fn lock(&self) -> MutexGuard<'_, SweepState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the next events without a leaf.
pub(super) async fn unsealed(
    db: &mut PgConnection,
    names: &Identifiers,
    sweep: &Sweep,
    position: &str,
    at_most: usize,
) -> Result<UnsealedEvents, StoreError> {
    let leaves = match tables::exist(db, names).await? {
        true => Some(names.side_table(LEAVES)),
        false => None,
    };
    // Before the events are read: those of a transaction that ends in between are read, or are not behind it.
    let times = times(db, sweep).await?;
    let position = match Position::read(position) {
        // The server's clock was ahead once.
        Position::From(low) => Position::From(low.min(times.recent)),
        scan @ Position::Scan(_) => scan,
    };
    let (low, begun) = (position.low(), Instant::now());
    let is_whole = matches!(position, Position::Scan(_)) || sweep.lock().pace.is_due(begun);
    let ids = if is_whole { (low, None) } else { (times.recent, Some(times.soon)) };
    let mut events = newer(db, names, leaves.as_deref(), ids, at_most).await?;
    if events.len() >= at_most {
        let last = events.iter().map(|event| Uuid::from(event.event_id)).max().unwrap_or(low);
        let next = match position {
            _ if !is_whole => position,
            Position::Scan(_) => Position::Scan(Uuid::from_u128(last.as_u128().saturating_add(1))),
            Position::From(_) => Position::From(last.min(times.settled).max(low)),
        };
        return Ok(UnsealedEvents { events, position: next.to_string(), has_more: true });
    }
    let mut has_more = false;
    if let (Some(leaves), Position::From(_)) = (leaves, position) {
        if is_whole {
            let now = Instant::now();
            sweep.lock().pace.note(now - begun, now);
        }
        let late = late(db, names, &leaves, sweep, low, at_most - events.len()).await?;
        has_more = late.has_more;
        events.extend(late.events);
    }
    let next = match position {
        _ if !is_whole => position,
        Position::Scan(_) => Position::From(times.settled),
        Position::From(low) => Position::From(times.settled.max(low)),
    };
    Ok(UnsealedEvents { events, position: next.to_string(), has_more })
}

/// A position among the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Every event is gone through once, from this id on.
    Scan(Uuid),
    /// Events from this id on are new; those before it are swept.
    From(Uuid),
}

impl Position {
    /// Reads a position. One that is none is the beginning.
    fn read(text: &str) -> Self {
        match text.strip_prefix(SCAN) {
            Some(id) => Self::Scan(Uuid::try_parse(id).unwrap_or_default()),
            None => Uuid::try_parse(text).map_or(Self::Scan(Uuid::nil()), Self::From),
        }
    }

    fn low(self) -> Uuid {
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

/// Moments of a look, as the ids of events that are made then.
struct Times {
    /// Before it no event will come any more, as far as clocks can be trusted.
    settled: Uuid,
    /// Some seconds ago, and in some seconds: the ids of nearly all events that come now are in between.
    recent: Uuid,
    soon: Uuid,
}

async fn times(db: &mut PgConnection, sweep: &Sweep) -> Result<Times, StoreError> {
    let (now, oldest_open, next): (i64, i64, i64) = sqlx::query_as(
        "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, \
         pg_catalog.pg_snapshot_xmin(s)::text::bigint, pg_catalog.pg_snapshot_xmax(s)::text::bigint \
         FROM pg_catalog.pg_current_snapshot() s",
    )
    .fetch_one(db)
    .await
    .during(DOING)?;
    let settled = sweep.lock().horizon.note(now, oldest_open, next);
    let id = |millis: i64| Uuid::from_u128((millis.max(0).cast_unsigned() as u128) << 80);
    Ok(Times {
        settled: settled.map_or_else(Uuid::nil, |settled| id(settled / 1000 - GRACE_MILLIS)),
        recent: id(now / 1000 - GRACE_MILLIS),
        soon: id(now / 1000 + GRACE_MILLIS),
    })
}

/// Returns events from the first id on, and before the second if there is one, that have no leaf; the smallest ids first.
async fn newer(
    db: &mut PgConnection,
    names: &Identifiers,
    leaves: Option<&str>,
    (low, end): (Uuid, Option<Uuid>),
    at_most: usize,
) -> Result<Vec<AuditEvent>, StoreError> {
    let before_end = if end.is_some() { "AND e.event_id < $3" } else { "" };
    let without_leaf = leaves
        .map(|leaves| format!("AND NOT EXISTS (SELECT FROM {leaves} l WHERE l.event_id = e.event_id AND l.n >= 0)"))
        .unwrap_or_default();
    let sql = format!(
        "SELECT {} FROM {} AS e WHERE e.event_id >= $1 {before_end} {without_leaf} ORDER BY e.event_id LIMIT $2",
        columns(),
        names.table()
    );
    let asked = sqlx::query(AssertSqlSafe(sql)).bind(low).bind(i64::try_from(at_most).unwrap_or(i64::MAX));
    let asked = match end {
        Some(end) => asked.bind(end),
        None => asked,
    };
    let rows = asked.fetch_all(db).await.during(DOING)?;
    rows.iter().map(|row| event_of(row, DOING)).collect()
}

struct Late {
    events: Vec<AuditEvent>,
    has_more: bool,
}

/// Returns events below this id that have no leaf.
async fn late(
    db: &mut PgConnection,
    names: &Identifiers,
    leaves: &str,
    sweep: &Sweep,
    low: Uuid,
    room: usize,
) -> Result<Late, StoreError> {
    let (mut ids, near_end) = chunk(db, names, leaves, low).await?;
    let (below, had_found) = {
        let state = sweep.lock();
        (state.below, state.has_found)
    };
    // The newest have just been looked at.
    let from = below.or(near_end);
    let (mut end, begun) = (from, Instant::now());
    while let Some(next) = end {
        let (more, after) = chunk(db, names, leaves, next).await?;
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
        let mut state = sweep.lock();
        state.below = match (is_cut, has_found && !had_found) {
            // The first of them: everything is looked through.
            (_, true) => None,
            (true, false) => from,
            (false, false) => end,
        };
        // A round without a find ends the hurry.
        state.has_found = has_found || (had_found && end.is_some());
    }
    let events = if has_found { events(db, names, &ids).await? } else { Vec::new() };
    Ok(Late { events, has_more: has_found })
}

/// Looks at the [`CHUNK`] events below an id. Returns those without a leaf, and the smallest id; none if there are no more.
async fn chunk(
    db: &mut PgConnection,
    names: &Identifiers,
    leaves: &str,
    below: Uuid,
) -> Result<(Vec<Uuid>, Option<Uuid>), StoreError> {
    let sql = format!(
        "WITH part AS MATERIALIZED (SELECT e.event_id FROM {} AS e WHERE e.event_id < $1 ORDER BY e.event_id DESC LIMIT {CHUNK}) \
         SELECT ARRAY(SELECT p.event_id FROM part p WHERE NOT EXISTS (SELECT FROM {leaves} l WHERE l.event_id = p.event_id AND l.n >= 0)), \
         (SELECT p.event_id FROM part p ORDER BY p.event_id LIMIT 1)",
        names.table()
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(below).fetch_one(db).await.during(DOING)?;
    Ok((row.try_get(0).during(DOING)?, row.try_get(1).during(DOING)?))
}

/// Returns those of these events that are there.
pub(super) async fn events(
    db: &mut PgConnection,
    names: &Identifiers,
    ids: &[Uuid],
) -> Result<Vec<AuditEvent>, StoreError> {
    let sql =
        format!("SELECT {} FROM {} AS e WHERE e.event_id = ANY ($1) ORDER BY e.event_id", columns(), names.table());
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(db).await.during(DOING)?;
    rows.iter().map(|row| event_of(row, DOING)).collect()
}

/// Returns the ids as the driver takes them.
pub(super) fn uuids(ids: &[EventId]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid::from(*id)).collect()
}

const DOING: &str = "looking for events without a leaf";
/// The time by which an event may be inserted after it was made, beyond the time of its transaction.
const GRACE_MILLIS: i64 = 10_000;
const CHUNK: usize = 4096;
/// The time of a look that a hurried sweep may take. The sealer looks once a second.
const HURRY: Duration = Duration::from_millis(100);
const SCAN: &str = "scan:";
