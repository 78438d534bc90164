//! Deleting old events.

use mongodb::bson::{Bson, doc};

use super::collections::Collections;
use super::connection::{Connection, Search};
use super::time::time_conditions;
use crate::event::{EventId, Timestamp};
use crate::store::{OPEN_COPY_AGE, PurgeOutcome, StoreError};

/// Deletes up to `at_most` of the oldest events.
pub(super) async fn purge(
    connection: &Connection,
    names: &Collections,
    before: Timestamp,
    at_most: usize,
) -> Result<PurgeOutcome, StoreError> {
    if before == Timestamp::MIN {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    forget_open(connection, names, before).await?;
    let at_most = at_most.clamp(1, MAX_CHUNK);
    let search = Search {
        filter: doc! {"$and": time_conditions(None, Some(before), None)},
        projection: Some(doc! {"_id": 1}),
        sort: Some(doc! {"created_at": 1, "micros": 1, "event_id": 1}),
        limit: Some(at_most as i64),
        ..Search::default()
    };
    let old = connection.read(DOING).await?.find(&names.events, search).await?;
    let keys: Vec<Bson> = old.into_iter().filter_map(|mut document| document.remove("_id")).collect();
    if keys.is_empty() {
        return Ok(PurgeOutcome { deleted: 0, has_more: false });
    }
    let has_more = keys.len() == at_most;
    // Fewer, if another purge has deleted some meanwhile.
    let deleted = connection.delete(DOING, &names.events, doc! {"_id": {"$in": keys}}).await?;
    Ok(PurgeOutcome { deleted, has_more })
}

/// Deletes the copies of `started` events that are still open and older than `before`: who and what they name would
/// outlive the purge. A log makes the ids of these events, so that a span of time is a span of ids. Those younger than
/// [`OPEN_COPY_AGE`] stay: their requests may be running.
pub(super) async fn forget_open(
    connection: &Connection,
    names: &Collections,
    before: Timestamp,
) -> Result<(), StoreError> {
    let young = Timestamp::from_micros_clamped(Timestamp::now().as_micros() - OPEN_COPY_AGE.as_micros() as i64);
    let Ok(millis) = u128::try_from(before.min(young).as_micros().div_euclid(1000)) else { return Ok(()) };
    let first = super::time::hex(EventId::from_u128(millis << 80));
    connection.delete(DOING, &names.started, doc! {"_id": {"$lt": first}}).await?;
    Ok(())
}

const DOING: &str = "purge";
/// A larger command would hold a writer up for too long.
const MAX_CHUNK: usize = 5_000;
