//! The list of open `started` events: a document for each in a collection of its own, deleted when the event has ended.
//!
//! There is no transaction around it and the events. For example:
//! - The process dies after a document is in the list and before its event is stored: recovery finds no such event, and
//!   nobody was told that it is stored.
//! - The process dies after an end is stored and before the document is deleted: recovery finds the end.

use mongodb::bson::{Binary, Bson, Document, doc};

use super::connection::{Change, Connection, Search};
use super::document::{EVENT, STARTED};
use super::error::permanent;
use super::names::Names;
use super::time::hex;
use crate::event::{AuditEvent, EventId};
use crate::store::StoreError;

/// Adds `started` events of a writer. One that is in the list already stays its writer's.
pub(super) async fn add(
    connection: &Connection,
    names: &Names,
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
    names: &Names,
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
    names: &Names,
    doing: &'static str,
    ids: &[EventId],
) -> Result<Vec<EventId>, StoreError> {
    let reading = connection.read(doing).await?;
    let mut open = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let search = Search {
            filter: doc! {"_id": {"$in": hexes(some)}},
            projection: Some(doc! {"_id": 1}),
            ..Search::default()
        };
        let found = reading.find(&names.started, search).await?;
        open.extend(found.iter().filter_map(|document| document.get_str("_id").ok()?.parse::<EventId>().ok()));
    }
    Ok(open)
}

/// Returns every id in the list, as text.
pub(super) async fn ids(
    connection: &Connection,
    names: &Names,
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
    names: &Names,
    doing: &'static str,
    ids: &[EventId],
) -> Result<Vec<EventId>, StoreError> {
    let reading = connection.read(doing).await?;
    let mut ended = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let search = Search {
            // The second condition is that of the index.
            filter: doc! {"$and": [{STARTED: {"$in": hexes(some)}}, {STARTED: {"$type": "string"}}]},
            projection: Some(doc! {"_id": 0, STARTED: 1}),
            ..Search::default()
        };
        for document in reading.find(&names.events, search).await? {
            ended.extend(id_at(&document, STARTED));
        }
    }
    Ok(ended)
}

/// Returns those of the events that are stored.
pub(super) async fn stored(
    connection: &Connection,
    names: &Names,
    doing: &'static str,
    ids: &[EventId],
) -> Result<Vec<EventId>, StoreError> {
    let reading = connection.read(doing).await?;
    let mut stored = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let search = Search {
            filter: doc! {"event_id": {"$in": hexes(some)}},
            projection: Some(doc! {"_id": 0, "event_id": 1}),
            ..Search::default()
        };
        for document in reading.find(&names.events, search).await? {
            stored.extend(id_at(&document, "event_id"));
        }
    }
    Ok(stored)
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
