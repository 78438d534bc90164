//! The erasure part: events are replaced by ones of which values were erased.

use mongodb::bson::{Document, doc};

use super::connection::{Change, Search};
use super::document::{EVENT, columns_of};
use super::error::permanent;
use super::event_decode::event_of;
use super::open_list::{AT_ONCE, hexes};
use super::orphan_recovery::CLOSING;
use super::store::MongodbStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{CellErasure, ReplaceEventFn, StoreError, StoreErrorKind, StoreFuture};

impl CellErasure for MongodbStore {
    /// Replaces each event in one step, and before it the copy of an open one. All of them together are no transaction: an erasure that was
    /// killed is run again.
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut replaced = 0;
            for some in ids.chunks(AT_ONCE) {
                let erased = async {
                    self.erase_copies(some, replace).await?;
                    self.erase_events(some, replace).await
                };
                replaced += erased.await.map_err(|error| match error.kind() {
                    StoreErrorKind::Denied => error.with_hint(
                        "an erasure changes events, which no role of the log may do: run it as the owner of the database",
                    ),
                    _ => error,
                })?;
            }
            Ok(replaced)
        })
    }

    /// The server frees the space.
    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl MongodbStore {
    /// Replaces events. One that another erasure has changed meanwhile is left to that.
    async fn erase_events(&self, ids: &[EventId], replace: ReplaceEventFn<'_>) -> Result<u64, StoreError> {
        let names = &self.config.names;
        let search = Search { filter: doc! {"event_id": {"$in": hexes(ids)}}, ..Search::default() };
        let found = self.connection.read(DOING).await?.find(&names.events, search).await?;
        let mut changes = Vec::new();
        for document in &found {
            let (Some(key), Some(erased)) = (document.get("_id"), replace(&event_of(document), None)) else { continue };
            let mut update = columns_of(&erased.event);
            update.insert(EVENT, text_of(&erased.event)?);
            let before =
                document.get(EVENT).cloned().map_or_else(|| doc! {"$exists": false}, |text| doc! {"$eq": text});
            changes.push(Change {
                filter: doc! {"_id": key.clone(), EVENT: before},
                update,
                upsert: false,
                many: false,
            });
        }
        match changes.is_empty() {
            true => Ok(0),
            false => self.connection.update(DOING, &names.events, changes).await?.done(DOING),
        }
    }

    /// Replaces the copies of open events, and the events that a recovery has kept to close them: these would bring the
    /// values back.
    async fn erase_copies(&self, ids: &[EventId], replace: ReplaceEventFn<'_>) -> Result<(), StoreError> {
        let names = &self.config.names;
        let search = Search { filter: doc! {"_id": {"$in": hexes(ids)}}, ..Search::default() };
        let found = self.connection.read(DOING).await?.find(&names.started, search).await?;
        let mut changes = Vec::new();
        for document in &found {
            let mut update = Document::new();
            for field in [EVENT, CLOSING] {
                let event = document.get_str(field).ok().and_then(|text| serde_json::from_str::<AuditEvent>(text).ok());
                if let Some(erased) = event.and_then(|event| replace(&event, None)) {
                    update.insert(field, text_of(&erased.event)?);
                }
            }
            if let (Ok(id), false) = (document.get_str("_id"), update.is_empty()) {
                let filter = doc! {"_id": id};
                changes.push(Change { filter, update: doc! {"$set": update}, upsert: false, many: false });
            }
        }
        if !changes.is_empty() {
            self.connection.update(DOING, &names.started, changes).await?.done(DOING)?;
        }
        Ok(())
    }
}

fn text_of(event: &AuditEvent) -> Result<String, StoreError> {
    serde_json::to_string(event)
        .map_err(|error| permanent(DOING).with_hint("the event cannot be written as JSON").with_source(error))
}

const DOING: &str = "erasing";
