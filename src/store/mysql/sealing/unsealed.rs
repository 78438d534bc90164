//! Events without a leaf, as `sql/unsealed.rs` looks for them.
//!
//! InnoDB commits in another order than ids are made, and an app's own transaction may be open for hours. Nothing that an account without further rights may
//! ask tells the age of the oldest transaction. But rows that are not committed are in the index, and a read without isolation shows them:
//!
//! - t0: a transaction inserts event A, and goes on. Another one inserts event B, which is younger, and commits.
//! - t1: the look reads without isolation the ids from the position on that have no leaf: A and B. Then it reads events, and finds B.
//! - t2: B gets its leaf. The position moves no further than A, which is still to be committed, or gone after a rollback.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::{rows, tables};
use crate::event::{AuditEvent, EventId};
use crate::store::mysql::error::{DuringOperation as _, permanent};
use crate::store::mysql::identifiers::{Identifiers, LEAVES};
use crate::store::mysql::row::{columns, event_of, id_of};
use crate::store::sql::{CHUNK, Pending, Sweep, UnsealedSource};
use crate::store::{StoreError, UnsealedEvents};

/// Returns the next events without a leaf.
pub(super) async fn unsealed(
    db: &mut MySqlConnection,
    names: &Identifiers,
    sweep: &Sweep,
    position: &str,
    at_most: usize,
) -> Result<UnsealedEvents, StoreError> {
    let leaves = match tables::exist(db, names).await? {
        true => Some(names.side_table(LEAVES)),
        false => None,
    };
    sweep.unsealed(&mut Source { db, names, leaves }, position, at_most).await
}

/// A look.
struct Source<'s> {
    db: &'s mut MySqlConnection,
    names: &'s Identifiers,
    leaves: Option<String>,
}

impl Source<'_> {
    /// The ids of events without a leaf, of a span of ids that `span` has as a condition on `p`, in their order. The index of the ids is read in its order, and the
    /// leaf of each is looked up: a plan by the size of the tables could sort all of them.
    fn ids_without_leaf(&self, span: &str, limit: &str) -> String {
        let (join, without_leaf) = match &self.leaves {
            Some(leaves) => {
                (format!("LEFT JOIN {leaves} AS l ON l.event_id = p.event_id AND l.n >= 0"), "AND l.event_id IS NULL")
            }
            None => (String::new(), ""),
        };
        format!(
            "SELECT p.event_id AS page_id FROM {} AS p FORCE INDEX (PRIMARY) {join} \
             WHERE {span} {without_leaf} ORDER BY p.event_id LIMIT {limit}",
            self.names.table()
        )
    }
}

impl UnsealedSource for Source<'_> {
    fn has_leaves(&self) -> bool {
        self.leaves.is_some()
    }

    async fn now_millis(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
        sqlx::query_scalar(sql).fetch_one(&mut *self.db).await.during(DOING)
    }

    async fn pending(&mut self, low: EventId, recent: EventId) -> Result<Pending, StoreError> {
        let span = format!("p.event_id >= {} AND p.event_id < {}", literal(low), literal(recent));
        // Both in one message: the level is that of the next statement alone.
        let sql = format!(
            "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; {}",
            self.ids_without_leaf(&span, &CHUNK.to_string())
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *self.db).await.during(DOING)?;
        let ids = rows.iter().map(|row| id_of(row, 0, DOING)).collect::<Result<Vec<_>, _>>()?;
        let until = match ids.last() {
            Some(last) if ids.len() >= CHUNK => *last,
            _ => recent,
        };
        Ok(Pending { ids, until })
    }

    async fn newer(
        &mut self,
        low: EventId,
        end: Option<EventId>,
        at_most: usize,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let span = if end.is_some() { "p.event_id >= ? AND p.event_id < ?" } else { "p.event_id >= ?" };
        let sql = format!(
            "SELECT {} FROM ({}) AS page JOIN {} AS e ON e.event_id = page.page_id",
            columns(),
            self.ids_without_leaf(span, "?"),
            self.names.table()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(low.to_bytes().to_vec());
        let query = match end {
            Some(end) => query.bind(end.to_bytes().to_vec()),
            None => query,
        };
        let rows = query.bind(rows::limit(at_most)).fetch_all(&mut *self.db).await.during(DOING)?;
        let mut events = rows.iter().map(|row| event_of(row, DOING)).collect::<Result<Vec<_>, _>>()?;
        events.sort_by_key(|event| event.event_id);
        Ok(events)
    }

    async fn older(&mut self, below: EventId) -> Result<(Vec<EventId>, Option<EventId>), StoreError> {
        if self.leaves.is_none() {
            return Ok((Vec::new(), None));
        }
        let sql = format!(
            "SELECT MIN(part.event_id) FROM (SELECT p.event_id FROM {} AS p FORCE INDEX (PRIMARY) WHERE p.event_id < ? \
             ORDER BY p.event_id DESC LIMIT {CHUNK}) AS part",
            self.names.table()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(below.to_bytes().to_vec());
        let row = query.fetch_one(&mut *self.db).await.during(DOING)?;
        let first: Option<&[u8]> = row.try_get(0).during(DOING)?;
        let Some(first) = first else { return Ok((Vec::new(), None)) };
        let first: [u8; 16] = first.try_into().map_err(|_| permanent(DOING))?;
        let sql = self.ids_without_leaf("p.event_id >= ? AND p.event_id < ?", "?");
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(first.to_vec())
            .bind(below.to_bytes().to_vec())
            .bind(rows::limit(CHUNK));
        let rows = query.fetch_all(&mut *self.db).await.during(DOING)?;
        let ids = rows.iter().map(|row| id_of(row, 0, DOING)).collect::<Result<Vec<_>, _>>()?;
        Ok((ids, Some(EventId::from_bytes(first))))
    }

    async fn events(&mut self, ids: &[EventId]) -> Result<Vec<AuditEvent>, StoreError> {
        rows::events(self.db, self.names, ids).await
    }
}

/// An id as a literal.
fn literal(id: EventId) -> String {
    format!("X'{id}'")
}

const DOING: &str = "looking for events without a leaf";
