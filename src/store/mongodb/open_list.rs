//! The list of open `started` events: a document for each in a collection of its own, deleted when the event has ended.
//!
//! There is no transaction around it and the events. For example:
//! - The process dies after a document is in the list and before its event is stored: recovery finds no such event, and
//!   nobody was told that it is stored.
//! - The process dies after an end is stored and before the document is deleted: recovery finds the end.

use mongodb::bson::{Binary, Bson, Document, doc};

use super::collections::Collections;
use super::connection::{Change, Connection, Search};
use super::document::{EVENT, STARTED};
use super::error::permanent;
use super::time::hex;
use crate::event::{AuditEvent, EventId};
use crate::store::StoreError;

/// Adds `started` events of a writer. One that is in the list already stays its writer's.
pub(super) async fn add(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    writer: &Binary,
    events: &[&AuditEvent],
) -> Result<(), StoreError> {
    let mut changes = Vec::with_capacity(events.len());
    for event in events {
        let text = serde_json::to_string(event)
            .map_err(|error| permanent(doing).with_hint("the event cannot be written as JSON").with_source(error))?;
        changes.push(Change {
            filter: doc! {"_id": hex(event.event_id)},
            update: doc! {"$setOnInsert": {"writer": writer.clone(), EVENT: text}},
            upsert: true,
            many: false,
        });
    }
    let expected = changes.len() as u64;
    let mut there = 0;
    while !changes.is_empty() {
        let some: Vec<_> = changes.drain(..changes.len().min(AT_ONCE)).collect();
        there += connection.update(doing, &names.started, some).await?.done(doing)?;
    }
    if there == expected {
        return Ok(());
    }
    Err(permanent(doing)
        .with_hint("the server did not keep every open event: see whether a validator or a view is in the way"))
}

/// Removes events that have ended.
pub(super) async fn remove(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    ids: &[EventId],
) -> Result<u64, StoreError> {
    let mut removed = 0;
    for some in ids.chunks(AT_ONCE) {
        removed += connection.delete(doing, &names.started, doc! {"_id": {"$in": hexes(some)}}).await?;
    }
    Ok(removed)
}

/// Returns those of the ids that are in the list.
pub(super) async fn still_open(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    ids: &[EventId],
) -> Result<Vec<EventId>, StoreError> {
    ids_at("_id", connection, &names.started, doing, ids, |some| doc! {"_id": {"$in": some}}).await
}

/// Returns every id in the list, as text.
pub(super) async fn ids(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
) -> Result<Vec<String>, StoreError> {
    let search = Search { projection: Some(doc! {"_id": 1}), limit: Some(MOST_FOLDED + 1), ..Search::default() };
    let found = connection.read(doing).await?.find(&names.started, search).await?;
    if found.len() as i64 > MOST_FOLDED {
        return Err(permanent(doing).with_hint(format!(
            "more than {MOST_FOLDED} requests are open: read without `folded`, or start a log, which closes those of dead \
             processes"
        )));
    }
    Ok(found.iter().filter_map(|document| Some(document.get_str("_id").ok()?.to_owned())).collect())
}

/// Returns those of the `started` events whose ends are stored.
pub(super) async fn ended(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    ids: &[EventId],
) -> Result<Vec<EventId>, StoreError> {
    // The second condition is that of the index.
    let filter = |some| doc! {"$and": [{STARTED: {"$in": some}}, {STARTED: {"$type": "string"}}]};
    ids_at(STARTED, connection, &names.events, doing, ids, filter).await
}

/// Returns those of the events that are stored.
pub(super) async fn stored(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
    ids: &[EventId],
) -> Result<Vec<EventId>, StoreError> {
    ids_at("event_id", connection, &names.events, doing, ids, |some| doc! {"event_id": {"$in": some}}).await
}

/// Returns the ids at a path of the documents that a filter for some of the ids finds.
async fn ids_at(
    path: &str,
    connection: &Connection,
    collection: &str,
    doing: &'static str,
    ids: &[EventId],
    filter: impl Fn(Vec<String>) -> Document,
) -> Result<Vec<EventId>, StoreError> {
    let reading = connection.read(doing).await?;
    // Nothing else is read, so that an index alone can answer.
    let mut projection = doc! {"_id": 0};
    projection.insert(path, 1);
    let mut found = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let search = Search { filter: filter(hexes(some)), projection: Some(projection.clone()), ..Search::default() };
        for document in reading.find(collection, search).await? {
            found.extend(id_at(&document, path));
        }
    }
    Ok(found)
}

pub(super) fn hexes(ids: &[EventId]) -> Vec<String> {
    ids.iter().map(|id| hex(*id)).collect()
}

fn id_at(document: &Document, path: &str) -> Option<EventId> {
    super::document::value_at(document, path).and_then(Bson::as_str)?.parse().ok()
}

/// The number of documents in one command.
pub(super) const AT_ONCE: usize = 500;
/// The largest number of open events with which a folded listing is read: their ids are part of the search, which has room
/// for 16 MiB.
const MOST_FOLDED: i64 = 100_000;
