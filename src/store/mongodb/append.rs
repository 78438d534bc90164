//! The hot path: one batch, one command, one sync on a majority of the servers.
//!
//! The server says how many documents it has inserted, and which it has refused; an append is done when that is all of them,
//! or the refused ones were there.

use std::mem;

use mongodb::bson::{RawDocumentBuf, doc, raw::cstr};

use super::collections::Collections;
use super::connection::{Change, Connection, raw};
use super::document::document_of;
use super::error::{permanent, transient};
use super::open_list;
use super::writer_lease::WriterLease;
use crate::event::{AuditEvent, EventId, Phase};
use crate::store::StoreError;

/// Inserts the events that are not there yet. Succeeds when every event is there, durably.
pub(super) async fn append(
    connection: &Connection,
    names: &Collections,
    lease: &WriterLease,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    connection.check_open(DOING)?;
    if events.is_empty() {
        return Ok(());
    }
    let started: Vec<&AuditEvent> = events.iter().filter(|event| event.phase == Phase::Started).collect();
    if !started.is_empty() {
        // A started event belongs to a writer, whose counter shows the recovery of others that it lives.
        let writer = lease.id().await?;
        open_list::add(connection, names, DOING, &writer, &started).await?;
        // Recovery may have taken this writer for dead and read the list before these events were in it.
        if !lease.is_registered(&writer).await? {
            lease.forget(&writer);
            return Err(transient(DOING).with_hint("this writer was taken for dead and registers again"));
        }
    }
    let repeated = insert(connection, names, events).await?;
    let mut ended: Vec<EventId> = events.iter().filter_map(|event| event.request.started_event_id).collect();
    if !repeated.is_empty() {
        confirm(connection, names).await?;
        // Those that had ended before must not be open again.
        let again: Vec<EventId> =
            started.iter().map(|event| event.event_id).filter(|id| repeated.contains(id)).collect();
        if !again.is_empty() {
            ended.extend(open_list::ended(connection, names, DOING, &again).await?);
        }
    }
    if !ended.is_empty() {
        open_list::remove(connection, names, DOING, &ended).await?;
    }
    Ok(())
}

/// Inserts events, and returns the ids of those that were there already.
pub(super) async fn insert(
    connection: &Connection,
    names: &Collections,
    events: &[AuditEvent],
) -> Result<Vec<EventId>, StoreError> {
    let mut repeated = Vec::new();
    let mut chunk = Chunk::default();
    for event in events {
        let document = raw(DOING, &document_of(event)?)?;
        let bytes = document.as_bytes().len();
        if chunk.bytes + bytes > MAX_BYTES || chunk.ids.len() >= MAX_DOCUMENTS {
            repeated.extend(mem::take(&mut chunk).insert(connection, names).await?);
        }
        chunk.bytes += bytes;
        chunk.ids.push(event.event_id);
        chunk.documents.push(document);
    }
    repeated.extend(chunk.insert(connection, names).await?);
    Ok(repeated)
}

/// The documents of one command.
#[derive(Debug, Default)]
struct Chunk {
    ids: Vec<EventId>,
    documents: Vec<RawDocumentBuf>,
    bytes: usize,
}

impl Chunk {
    /// Inserts the documents, and returns the ids of those that were there already.
    async fn insert(self, connection: &Connection, names: &Collections) -> Result<Vec<EventId>, StoreError> {
        if self.documents.is_empty() {
            return Ok(Vec::new());
        }
        let reply = connection.write(DOING, cstr!("insert"), &names.events, cstr!("documents"), self.documents).await?;
        let mut repeated = Vec::new();
        for error in &reply.errors {
            match self.ids.get(error.index) {
                Some(id) if error.is_repeated_id() => repeated.push(*id),
                _ => return Err(error.to_error(DOING)),
            }
        }
        if reply.count + repeated.len() as u64 == self.ids.len() as u64 {
            return Ok(repeated);
        }
        Err(permanent(DOING).with_hint(format!(
            "the server refused {} of {} events and says that {} are in: see whether a proxy is in the way",
            repeated.len(),
            self.ids.len(),
            reply.count
        )))
    }
}

/// Makes what is stored durable: an event that is there already may be of an append whose majority is still missing.
/// A majority that has this write has all before it.
pub(super) async fn confirm(connection: &Connection, names: &Collections) -> Result<(), StoreError> {
    let change =
        Change { filter: doc! {"_id": CONFIRMED}, update: doc! {"$inc": {"count": 1_i64}}, upsert: true, many: false };
    match connection.update(DOING, &names.writers, [change]).await?.done(DOING)? {
        1 => Ok(()),
        _ => Err(permanent(DOING)
            .with_hint("the server did not write what it was told to: see whether a view is in the way")),
    }
}

const DOING: &str = "append";
/// The document whose count goes up with each confirmation.
const CONFIRMED: &str = "confirmed";
/// The largest command: the server takes 16 MiB and a little.
const MAX_BYTES: usize = 12 * 1024 * 1024;
const MAX_DOCUMENTS: usize = 10_000;
