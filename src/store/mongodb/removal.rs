//! The removal part: positions of events, and the deletion of single ones.

use mongodb::bson::{Bson, doc};

use super::connection::Search;
use super::event_decode::position_of;
use super::open_list::{AT_ONCE, hexes, still_open};
use super::purge::forget_open;
use super::reader;
use super::store::MongodbStore;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreFuture};

impl Removal for MongodbStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(reader::positions(&self.connection, &self.config.names, DOING, query))
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let names = &self.config.names;
            let mut removed = 0;
            for some in positions.chunks(AT_ONCE) {
                let ids: Vec<EventId> = some.iter().map(|position| position.event_id).collect();
                let search = Search {
                    filter: doc! {"event_id": {"$in": hexes(&ids)}},
                    projection: Some(doc! {"event_id": 1, "created_at": 1, "micros": 1}),
                    ..Search::default()
                };
                let found = self.connection.read(DOING).await?.find(&names.events, search).await?;
                // A stored event is never updated: its time is the same when it is deleted.
                let keys: Vec<Bson> = found
                    .into_iter()
                    .filter(|document| some.contains(&position_of(document)))
                    .filter_map(|mut document| document.remove("_id"))
                    .collect();
                if !keys.is_empty() {
                    removed += self.connection.delete(DOING, &names.events, doc! {"_id": {"$in": keys}}).await?;
                }
            }
            Ok(removed)
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(still_open(&self.connection, &self.config.names, DOING, ids))
    }

    /// The server frees the space.
    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match copies_before {
                Some(before) => forget_open(&self.connection, &self.config.names, before).await,
                None => Ok(()),
            }
        })
    }
}

const DOING: &str = "purge";
