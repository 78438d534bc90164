//! Deleting old events, chunk by chunk.

use super::session::Session;
use super::shared_database::Writer;
use super::value::Value;
use crate::event::{EventId, Timestamp};
use crate::query::Cursor;
use crate::store::{OPEN_COPY_AGE, PurgeOutcome, StoreError};

/// Deletes up to `at_most` events older than `before`, and copies of open ones. After the last chunk, a checkpoint gives their
/// blocks back.
pub(super) fn purge(writer: &mut Writer, before: Timestamp, at_most: usize) -> Result<PurgeOutcome, StoreError> {
    // A row with a time before the first one that an event can have counts as one of that time.
    if before == Timestamp::MIN {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    let at_most = at_most.clamp(1, MAX_CHUNK);
    let sql = format!(
        "DELETE FROM audit_events WHERE rowid IN \
         (SELECT rowid FROM audit_events WHERE created_at < $1 ORDER BY created_at, event_id LIMIT {at_most})"
    );
    let deleted = writer.commit_if_changed(DOING, |session| {
        let copies = forget_open(session, before)?;
        let deleted = session.run(DOING, &sql, vec![Value::Time(before)])?.number(DOING)?;
        Ok((deleted, copies + deleted > 0))
    })?;
    let has_more = deleted == at_most as u64;
    if !has_more {
        writer.checkpoint(DOING)?;
    }
    Ok(PurgeOutcome { deleted, has_more })
}

/// Deletes the copies of `started` events that are still open and older than `before`: who and what they name would
/// outlive the purge, and come back in the event that closes them. A log makes the ids of these events, so that a span of
/// time is a span of ids. Those younger than [`OPEN_COPY_AGE`] stay: their requests may be running.
pub(super) fn forget_open(session: &mut Session, before: Timestamp) -> Result<u64, StoreError> {
    let young = Timestamp::from_micros_clamped(Timestamp::now().as_micros() - OPEN_COPY_AGE.as_micros() as i64);
    let Ok(millis) = u128::try_from(before.min(young).as_micros().div_euclid(1000)) else { return Ok(0) };
    let least = Value::id(EventId::from_u128(millis << 80));
    session.run(DOING, "DELETE FROM audit_events_started WHERE event_id < $1", vec![least])?.number(DOING)
}

/// Deletes the events at these positions and returns their number.
pub(super) fn remove(writer: &mut Writer, positions: &[Cursor]) -> Result<u64, StoreError> {
    let sql = "DELETE FROM audit_events WHERE event_id BETWEEN $3 AND $4 \
               AND (event_id, created_at) IN (SELECT CAST(unnest($1) AS UUID), unnest($2))";
    let ids = || positions.iter().map(|position| position.event_id);
    let (Some(least), Some(greatest)) = (ids().min(), ids().max()) else { return Ok(0) };
    let times = positions.iter().map(|position| position.created_at).collect();
    let values = vec![Value::ids(ids()), Value::Times(times), Value::id(least), Value::id(greatest)];
    writer.commit_if_changed(DOING, |session| {
        let deleted = session.run(DOING, sql, values)?.number(DOING)?;
        Ok((deleted, deleted > 0))
    })
}

pub(super) const DOING: &str = "purge";
/// More would keep appends waiting for too long.
const MAX_CHUNK: usize = 10_000;
