//! Events without a leaf.
//!
//! Nothing in a row tells when it was committed. Ids have the time at which the event was made, so:
//!
//! 1. Events from a *position* on, an id, are compared with the leaves at each look. The position is the time before which no
//!    transaction is open any more ([`Horizon`]), less [`GRACE`] for the clocks of writers and their retries.
//! 2. An event may still come later: a writer's clock is minutes behind, or the log owed it for long. So the events before the position are swept as well,
//!    [`CHUNK`] of the newest and as many of the others at each look, and all at once when one of them was without a leaf.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::horizon::Horizon;
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
    let settled = settled(db, sweep).await?;
    let position = Position::read(position);
    let low = position.low();
    let mut events = newer(db, names, leaves.as_deref(), low, at_most).await?;
    if events.len() >= at_most {
        let last = events.iter().map(|event| Uuid::from(event.event_id)).max().unwrap_or(low);
        let next = match position {
            Position::Scan(_) => Position::Scan(Uuid::from_u128(last.as_u128().saturating_add(1))),
            Position::From(_) => Position::From(last.min(settled).max(low)),
        };
        return Ok(UnsealedEvents { events, position: next.to_string(), has_more: true });
    }
    let mut has_more = false;
    if let (Some(leaves), Position::From(_)) = (leaves, position) {
        let late = late(db, names, &leaves, sweep, low, at_most - events.len()).await?;
        has_more = late.has_more;
        events.extend(late.events);
    }
    let next = match position {
        Position::Scan(_) => settled,
        Position::From(low) => settled.max(low),
    };
    Ok(UnsealedEvents { events, position: Position::From(next).to_string(), has_more })
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

/// Returns the id before which, as far as clocks can be trusted, no event will come any more.
async fn settled(db: &mut PgConnection, sweep: &Sweep) -> Result<Uuid, StoreError> {
    let (now, oldest_open, next): (i64, i64, i64) = sqlx::query_as(
        "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, \
         pg_catalog.pg_snapshot_xmin(s)::text::bigint, pg_catalog.pg_snapshot_xmax(s)::text::bigint \
         FROM pg_catalog.pg_current_snapshot() s",
    )
    .fetch_one(db)
    .await
    .during(DOING)?;
    let settled = sweep.lock().horizon.note(now, oldest_open, next);
    let millis = settled.map_or(0, |settled| (settled / 1000 - GRACE_MILLIS).max(0));
    Ok(Uuid::from_u128((millis.cast_unsigned() as u128) << 80))
}

/// Returns events from this id on that have no leaf, the smallest ids first.
async fn newer(
    db: &mut PgConnection,
    names: &Identifiers,
    leaves: Option<&str>,
    low: Uuid,
    at_most: usize,
) -> Result<Vec<AuditEvent>, StoreError> {
    let without_leaf = leaves
        .map(|leaves| format!("AND NOT EXISTS (SELECT FROM {leaves} l WHERE l.event_id = e.event_id AND l.n >= 0)"))
        .unwrap_or_default();
    let sql = format!(
        "SELECT {} FROM {} AS e WHERE e.event_id >= $1 {without_leaf} ORDER BY e.event_id LIMIT $2",
        columns(),
        names.table()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(low)
        .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
        .fetch_all(db)
        .await
        .during(DOING)?;
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
    let end = match from {
        Some(from) => {
            let (more, end) = chunk(db, names, leaves, from).await?;
            ids.extend(more);
            end
        }
        None => None,
    };
    ids.sort_unstable();
    ids.dedup();
    let is_cut = ids.len() > room;
    ids.truncate(room);
    let has_found = !ids.is_empty();
    {
        let mut state = sweep.lock();
        state.below = match (is_cut, has_found && !had_found) {
            // The first of them: everything is looked through at once.
            (_, true) => None,
            (true, false) => from,
            (false, false) => end,
        };
        // A round without a find ends the hurry.
        state.has_found = has_found || (had_found && end.is_some());
    }
    let events = if has_found { events(db, names, &ids).await? } else { Vec::new() };
    Ok(Late { events, has_more: has_found || (had_found && end.is_some()) })
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
const SCAN: &str = "scan:";
