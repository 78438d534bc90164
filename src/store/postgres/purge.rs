//! Deleting old events: a month at once if all of it is old, otherwise chunk by chunk.

use std::sync::{Mutex, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::{DuringOperation as _, FOREIGN_KEY_VIOLATION, cause, has_code, permanent};
use super::identifiers::{Identifiers, STARTED};
use super::interfering_objects::{self, Obstacle};
use super::partition;
use super::session::only;
use super::timestamptz::Timestamptz;
use crate::event::Timestamp;
use crate::store::{OPEN_COPY_AGE, PurgeOutcome, StoreError};

/// The position at which the last call stopped, if there was more to delete. The next call begins there: deleted rows stay
/// in the indexes until a vacuum, and each call would scan them again.
#[derive(Debug, Default)]
pub(super) struct PurgePosition(Mutex<Option<Timestamp>>);

impl PurgePosition {
    fn take(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, last: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

/// Drops a month, however many events it has: that takes no longer than to delete a few. If no month is old enough, deletes
/// up to `at_most` events.
pub(super) async fn purge(
    db: &mut PgConnection,
    names: &Identifiers,
    front: &PurgePosition,
    before: Timestamp,
    at_most: usize,
) -> Result<PurgeOutcome, StoreError> {
    // A row with a time before the first one that an event can have counts as one of that time.
    if before == Timestamp::MIN {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    // Asked before anything is removed: whatever hides events from this account is an error of this statement.
    let has_old = has_more(db, names, before).await?;
    forget_open(db, names, before).await?;
    if partition::may_drop(db, names).await? {
        while let Some(removed) = partition::drop_oldest(db, names, before).await? {
            // An empty month is not worth a call.
            if removed > 0 {
                return Ok(PurgeOutcome { deleted: removed, has_more: has_more(db, names, before).await? });
            }
        }
    }
    if !has_old {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    let at_most = at_most.clamp(1, MAX_CHUNK) as u64;
    let from = front.take();
    let mut chunk = remove(db, names, from, before, at_most).await?;
    if from.is_some() && chunk.found < at_most {
        // Old events may have been inserted before the position.
        let behind = remove(db, names, None, before, at_most - chunk.found).await?;
        chunk = Chunk { found: chunk.found + behind.found, removed: chunk.removed + behind.removed, last: behind.last };
    }
    let more = chunk.found == at_most;
    if more {
        // Rows before the first time of an event have no place to continue from.
        front.set(chunk.last.filter(|last| *last > Timestamp::MIN));
    }
    Ok(PurgeOutcome { deleted: chunk.removed, has_more: more })
}

/// Deletes the copies of `started` events that are still open and older than `before`: who and what they name would
/// outlive the purge, and come back in the event that closes them. A log makes the ids of these events, so that a span of
/// time is a span of ids. Those younger than [`OPEN_COPY_AGE`] stay: their requests may be running.
pub(super) async fn forget_open(
    db: &mut PgConnection,
    names: &Identifiers,
    before: Timestamp,
) -> Result<(), StoreError> {
    let young = Timestamp::from_micros_clamped(Timestamp::now().as_micros() - OPEN_COPY_AGE.as_micros() as i64);
    let Ok(millis) = u128::try_from(before.min(young).as_micros().div_euclid(1000)) else { return Ok(()) };
    let sql = format!("DELETE FROM {} WHERE event_id < $1", names.side_table(STARTED));
    sqlx::query(AssertSqlSafe(sql)).bind(Uuid::from_u128(millis << 80)).execute(db).await.during(DOING)?;
    Ok(())
}

struct Chunk {
    /// The number of old events.
    found: u64,
    /// The number of those that this statement deleted. The others were deleted by another purge at the same time.
    removed: u64,
    /// The time of the last.
    last: Option<Timestamp>,
}

/// Deletes the oldest events, from `from` on.
async fn remove(
    db: &mut PgConnection,
    names: &Identifiers,
    from: Option<Timestamp>,
    before: Timestamp,
    at_most: u64,
) -> Result<Chunk, StoreError> {
    let from_on = if from.is_some() { "AND created_at >= $3" } else { "" };
    // The ids are found first and then taken as one array: a join might read the whole table.
    let sql = format!(
        "WITH old AS MATERIALIZED (\
            SELECT event_id, created_at FROM {0} WHERE created_at < $1 {from_on} ORDER BY created_at, event_id LIMIT $2), \
         gone AS (DELETE FROM {0} WHERE event_id = ANY (ARRAY(SELECT event_id FROM old)) RETURNING event_id) \
         SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM gone), (SELECT max(created_at) FROM old), \
            (SELECT event_id FROM old WHERE event_id NOT IN (SELECT event_id FROM gone) LIMIT 1)",
        names.table()
    );
    let mut asked = sqlx::query_as(AssertSqlSafe(sql)).bind(Timestamptz(before)).bind(at_most.cast_signed());
    if let Some(from) = from {
        asked = asked.bind(Timestamptz(from));
    }
    let rows: Vec<(i64, i64, Option<Timestamptz>, Option<Uuid>)> = match asked.fetch_all(&mut *db).await {
        Err(error) if has_code(&error, FOREIGN_KEY_VIOLATION) => {
            let causes = interfering_objects::find_references(db, names, DOING).await?;
            return Err(undeletable(&causes).with_source(cause(error)));
        }
        rows => rows.during(DOING)?,
    };
    let (found, removed, last, left) = only(rows, DOING)?;
    if let Some(left) = left {
        refuse_undeletable(db, names, left).await?;
    }
    Ok(Chunk { found: found.cast_unsigned(), removed: removed.cast_unsigned(), last: last.map(|last| last.0) })
}

/// Returns an error if an event that was to be deleted is still there. For example:
/// - t0: two purges find the same events. t1: one deletes them, and the other waits. t2: the first commits, the other
///   deletes nothing, and the events are gone.
/// - A trigger discards every DELETE: the events are still there, and would be after every further attempt.
pub(super) async fn refuse_undeletable(db: &mut PgConnection, names: &Identifiers, id: Uuid) -> Result<(), StoreError> {
    let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE event_id = $1)", names.table());
    let exists: bool = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_one(&mut *db).await.during(DOING)?;
    if !exists {
        return Ok(());
    }
    let causes = interfering_objects::find_side_effects(db, names, DOING).await?;
    Err(undeletable(&causes))
}

/// The error for events that these things keep from being deleted.
pub(super) fn undeletable(causes: &[Obstacle]) -> StoreError {
    let texts: Vec<&str> = causes.iter().map(|cause| cause.text.as_str()).collect();
    let statements: Vec<&str> = causes.iter().map(|cause| cause.statement.as_str()).collect();
    permanent(DOING).with_hint(if causes.is_empty() {
        "the server deletes fewer events than it was told to: `tower-audit doctor` names what is on the tables"
            .to_owned()
    } else {
        format!(
            "events are not deleted, because of {}: let the owner of the table run `{}`",
            texts.join(" and "),
            statements.join(" ")
        )
    })
}

async fn has_more(db: &mut PgConnection, names: &Identifiers, before: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE created_at < $1)", names.table());
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(Timestamptz(before)).fetch_one(db).await.during(DOING)
}

const DOING: &str = "purge";
/// A larger transaction would be open for too long.
const MAX_CHUNK: usize = 10_000;
