//! The next event, as far as the commit: whatever would refuse it refuses this one.

use std::collections::HashSet;

use super::append::{Batch, insert};
use super::error::permanent;
use super::schema;
use super::shared_database::Writer;
use super::value::Value;
use crate::event::EventId;
use crate::store::StoreError;
use crate::store::rehearsal::rehearsal;

/// Inserts events as an append does, in a transaction that is rolled back; then commits one that leaves no event, all the way to the
/// disk.
pub(super) fn check(writer: &mut Writer, store: i64) -> Result<(), StoreError> {
    schema::require(writer.session(HEALTH)?, HEALTH)?;
    let [started, ended, plain] = rehearsal();
    let ids: Vec<EventId> = [&started, &ended, &plain].into_iter().flatten().map(|event| event.event_id).collect();
    writer.session(HEALTH)?.rehearsal(HEALTH, |session| {
        for batch in [&started, &ended, &plain] {
            insert(session, store, &Batch::of(batch)?, &HashSet::new())?;
        }
        let sql = "SELECT count(*) FROM audit_events WHERE event_id IN (SELECT CAST(unnest($1) AS UUID))";
        let found = session.run(HEALTH, sql, vec![Value::ids(ids.iter().copied())])?.number(HEALTH)?;
        match found == ids.len() as u64 {
            true => Ok(()),
            false => Err(permanent(HEALTH).with_hint("inserted events are gone before the commit")),
        }
    })?;
    writer.commit(HEALTH, |session| {
        session.run(HEALTH, "UPDATE audit_events_version SET version = version", Vec::new()).map(drop)
    })
}

pub(super) const HEALTH: &str = "health";
