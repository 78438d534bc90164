//! Events without a leaf, as `sql/unsealed.rs` looks for them. The [`Horizon`] tells before which time no transaction is open any more.

use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::horizon::Horizon;
use super::tables;
use crate::event::{AuditEvent, EventId};
use crate::store::postgres::error::DuringOperation as _;
use crate::store::postgres::identifiers::{Identifiers, LEAVES};
use crate::store::postgres::row::{columns, event_of};
use crate::store::sql::{CHUNK, GRACE_MILLIS, Pending, Sweep, UnsealedSource, id_at};
use crate::store::{StoreError, UnsealedEvents};

/// The knowledge of a store about events that are committed late.
#[derive(Debug, Default)]
pub(in crate::store::postgres) struct LateCommits {
    sweep: Sweep,
    horizon: Mutex<Horizon>,
}

/// Returns the next events without a leaf.
pub(super) async fn unsealed(
    db: &mut PgConnection,
    names: &Identifiers,
    late: &LateCommits,
    position: &str,
    at_most: usize,
) -> Result<UnsealedEvents, StoreError> {
    let leaves = match tables::exist(db, names).await? {
        true => Some(names.side_table(LEAVES)),
        false => None,
    };
    let mut source = Source { db, names, leaves, horizon: &late.horizon, settled: EventId::from_u128(0) };
    late.sweep.unsealed(&mut source, position, at_most).await
}

/// A look.
struct Source<'s> {
    db: &'s mut PgConnection,
    names: &'s Identifiers,
    leaves: Option<String>,
    horizon: &'s Mutex<Horizon>,
    /// Before it no event will come any more, as far as clocks can be trusted.
    settled: EventId,
}

impl UnsealedSource for Source<'_> {
    fn has_leaves(&self) -> bool {
        self.leaves.is_some()
    }

    /// Read before the events: those of a transaction that ends in between are read, or are not behind the horizon.
    async fn now_millis(&mut self) -> Result<i64, StoreError> {
        let (now, oldest_open, next): (i64, i64, i64) = sqlx::query_as(
            "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint, \
             pg_catalog.pg_snapshot_xmin(s)::text::bigint, pg_catalog.pg_snapshot_xmax(s)::text::bigint \
             FROM pg_catalog.pg_current_snapshot() s",
        )
        .fetch_one(&mut *self.db)
        .await
        .during(DOING)?;
        let mut horizon = self.horizon.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = horizon.note(now, oldest_open, next);
        self.settled = settled.map_or(EventId::from_u128(0), |settled| id_at(settled / 1000 - GRACE_MILLIS));
        Ok(now / 1000)
    }

    /// The horizon is before each of them.
    async fn pending(&mut self, _low: EventId, _recent: EventId) -> Result<Pending, StoreError> {
        Ok(Pending { ids: Vec::new(), until: self.settled })
    }

    async fn newer(
        &mut self,
        low: EventId,
        end: Option<EventId>,
        at_most: usize,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let before_end = if end.is_some() { "AND e.event_id < $3" } else { "" };
        let without_leaf = self
            .leaves
            .as_ref()
            .map(|leaves| format!("AND NOT EXISTS (SELECT FROM {leaves} l WHERE l.event_id = e.event_id AND l.n >= 0)"))
            .unwrap_or_default();
        let sql = format!(
            "SELECT {} FROM {} AS e WHERE e.event_id >= $1 {before_end} {without_leaf} ORDER BY e.event_id LIMIT $2",
            columns(),
            self.names.table()
        );
        let asked =
            sqlx::query(AssertSqlSafe(sql)).bind(Uuid::from(low)).bind(i64::try_from(at_most).unwrap_or(i64::MAX));
        let asked = match end {
            Some(end) => asked.bind(Uuid::from(end)),
            None => asked,
        };
        let rows = asked.fetch_all(&mut *self.db).await.during(DOING)?;
        rows.iter().map(|row| event_of(row, DOING)).collect()
    }

    async fn older(&mut self, below: EventId) -> Result<(Vec<EventId>, Option<EventId>), StoreError> {
        let Some(leaves) = &self.leaves else { return Ok((Vec::new(), None)) };
        let sql = format!(
            "WITH part AS MATERIALIZED (SELECT e.event_id FROM {} AS e WHERE e.event_id < $1 ORDER BY e.event_id DESC LIMIT {CHUNK}) \
             SELECT ARRAY(SELECT p.event_id FROM part p WHERE NOT EXISTS (SELECT FROM {leaves} l WHERE l.event_id = p.event_id AND l.n >= 0)), \
             (SELECT p.event_id FROM part p ORDER BY p.event_id LIMIT 1)",
            self.names.table()
        );
        let asked = sqlx::query(AssertSqlSafe(sql)).bind(Uuid::from(below));
        let row = asked.fetch_one(&mut *self.db).await.during(DOING)?;
        let (ids, end): (Vec<Uuid>, Option<Uuid>) = (row.try_get(0).during(DOING)?, row.try_get(1).during(DOING)?);
        Ok((ids.into_iter().map(EventId::from).collect(), end.map(EventId::from)))
    }

    async fn events(&mut self, ids: &[EventId]) -> Result<Vec<AuditEvent>, StoreError> {
        events(self.db, self.names, &uuids(ids)).await
    }
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
