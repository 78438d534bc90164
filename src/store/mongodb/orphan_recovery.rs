//! Closing the `started` events of writers that died.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use tokio::time::Instant;

use super::append::{confirm, insert};
use super::connection::{Change, Search};
use super::document::EVENT;
use super::error::transient;
use super::event_decode;
use super::open_list::{self, AT_ONCE};
use super::store::MongodbStore;
use super::write_reply::integer;
use super::writer_lease::delete_if_done;
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::store::{OPEN_COPY_AGE, OrphanRecovery, StoreError, StoreFuture};

type UnknownEventFn<'a> = &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync);

impl OrphanRecovery for MongodbStore {
    fn recover<'a>(&'a self, close: UnknownEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut closed = 0;
            for writer in self.dead_writers().await? {
                closed += self.close_writer(&writer, close).await?;
            }
            Ok(closed)
        })
    }
}

/// A writer that may be dead: the count that was seen, and the moment since which it is the same.
struct Suspect {
    count: i64,
    since: Instant,
}

impl MongodbStore {
    /// The dead writers with open events.
    async fn dead_writers(&self) -> Result<Vec<Binary>, StoreError> {
        let ours = self.lease.known();
        let owners = self.owners().await?;
        let mut suspects: HashMap<Vec<u8>, Suspect> = HashMap::new();
        let mut dead = Vec::new();
        let known = self.counts().await?;
        let begin = Instant::now();
        for owner in owners.into_iter().filter(|owner| Some(owner) != ours.as_ref()) {
            match known.get(&owner.bytes) {
                Some(Some(count)) => {
                    suspects.insert(owner.bytes, Suspect { count: *count, since: Instant::now() });
                }
                // Marked as dead, or deleted.
                _ => dead.push(owner),
            }
        }
        let end = Instant::now() + LONGEST_WATCH;
        while !suspects.is_empty() {
            if Instant::now() > end {
                return Err(transient(DOING).with_hint("the server does not answer well enough to tell who lives"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let asked = Instant::now();
            let Ok(counts) = self.counts().await else {
                suspects.values_mut().for_each(|suspect| suspect.since = Instant::now());
                continue;
            };
            // A server that hung has counted for nobody meanwhile.
            let is_slow = asked.elapsed() > SLOW;
            let mut gone = Vec::new();
            suspects.retain(|bytes, suspect| match counts.get(bytes) {
                Some(Some(count)) if *count == suspect.count => {
                    if is_slow {
                        suspect.since = Instant::now();
                    }
                    let is_dead = suspect.since.elapsed() >= GRACE;
                    if is_dead {
                        gone.push((bytes.clone(), Some(suspect.count)));
                    }
                    !is_dead
                }
                Some(Some(_)) => false,
                _ => {
                    gone.push((bytes.clone(), None));
                    false
                }
            });
            for (bytes, count) in gone {
                let writer = Binary { subtype: BinarySubtype::Generic, bytes };
                if self.mark_dead(&writer, count).await? {
                    dead.push(writer);
                }
            }
        }
        if begin.elapsed() >= GRACE {
            self.delete_idle(&known).await?;
        }
        Ok(dead)
    }

    /// Deletes writers that have not counted since `known` was read and have no open events. One that lives registers again.
    async fn delete_idle(&self, known: &HashMap<Vec<u8>, Option<i64>>) -> Result<(), StoreError> {
        let owners = self.owners().await?;
        for (bytes, count) in known {
            let writer = Binary { subtype: BinarySubtype::Generic, bytes: bytes.clone() };
            let (Some(count), false) = (count, owners.contains(&writer)) else { continue };
            let filter = doc! {"_id": writer, "count": *count};
            self.connection.delete(DOING, &self.config.names.writers, filter).await?;
        }
        Ok(())
    }

    /// Marks a writer as dead if its count is still the same. False if it has counted.
    async fn mark_dead(&self, writer: &Binary, count: Option<i64>) -> Result<bool, StoreError> {
        let Some(count) = count else { return Ok(true) };
        let change = Change {
            filter: doc! {"_id": writer.clone(), "count": count},
            update: doc! {"$set": {"is_dead": true}},
            upsert: false,
            many: false,
        };
        Ok(self.connection.update(DOING, &self.config.names.writers, [change]).await?.done(DOING)? == 1)
    }

    /// The writers of open events.
    async fn owners(&self) -> Result<Vec<Binary>, StoreError> {
        let stages = vec![doc! {"$group": {"_id": "$writer"}}];
        let reading = self.connection.read(DOING).await?;
        let found = reading.aggregate(&self.config.names.started, stages).await?;
        Ok(found.into_iter().filter_map(|group| binary(group.get("_id")?)).collect())
    }

    /// The counts of the writers; none for one that is marked as dead.
    async fn counts(&self) -> Result<HashMap<Vec<u8>, Option<i64>>, StoreError> {
        let search = Search { filter: doc! {"_id": {"$type": "binData"}}, ..Search::default() };
        let read = async { self.connection.read(DOING).await?.find(&self.config.names.writers, search).await };
        let found = self.connection.within(DOING, read).await?;
        let count = |writer: &Document| {
            let is_alive = writer.get_bool("is_dead").is_ok_and(|is_dead| !is_dead);
            let count = integer(writer.get("count")).filter(|_| is_alive);
            Some((binary(writer.get("_id")?)?.bytes, count))
        };
        Ok(found.iter().filter_map(count).collect())
    }

    /// Closes a dead writer's open events.
    async fn close_writer(&self, writer: &Binary, close: UnknownEventFn<'_>) -> Result<u64, StoreError> {
        let mut closed = 0;
        let mut last = String::new();
        loop {
            let search = Search {
                filter: doc! {"writer": writer.clone(), "_id": {"$gt": &last}},
                sort: Some(doc! {"_id": 1}),
                limit: Some(AT_ONCE as i64),
                ..Search::default()
            };
            let open = self.connection.read(DOING).await?.find(&self.config.names.started, search).await?;
            let Some(newest) = open.last().and_then(|document| document.get_str("_id").ok()) else { break };
            newest.clone_into(&mut last);
            closed += self.close_events(&open, close).await?;
        }
        delete_if_done(&self.connection, &self.config.names, DOING, writer).await?;
        Ok(closed)
    }

    /// Closes events of the list. The event that closes one is first kept in its document, and the first that is kept
    /// stays: so all who close at the same time, or after a crash, insert the same event.
    async fn close_events(&self, open: &[Document], close: UnknownEventFn<'_>) -> Result<u64, StoreError> {
        let (connection, names) = (&*self.connection, &self.config.names);
        let ids: Vec<EventId> = open.iter().filter_map(|document| document.get_str("_id").ok()?.parse().ok()).collect();
        let stored = open_list::stored(connection, names, DOING, &ids).await?;
        let ended = open_list::ended(connection, names, DOING, &ids).await?;
        open_list::remove(connection, names, DOING, &ended).await?;
        // An event that was never stored was never acknowledged. Its writer may be about to store it, if it only slept.
        let now = Timestamp::now().as_micros();
        let is_old = |id: &EventId| {
            let micros = i64::try_from(id.as_u128() >> 80).unwrap_or(0).saturating_mul(1000);
            now.saturating_sub(micros) > OPEN_COPY_AGE.as_micros() as i64
        };
        let forgotten: Vec<EventId> = ids.iter().filter(|id| !stored.contains(id) && is_old(id)).copied().collect();
        open_list::remove(connection, names, DOING, &forgotten).await?;

        let orphans: Vec<EventId> = ids.into_iter().filter(|id| stored.contains(id) && !ended.contains(id)).collect();
        if orphans.is_empty() {
            return Ok(0);
        }
        let mut changes = Vec::new();
        for document in open {
            let Some(id) = document.get_str("_id").ok().and_then(|id| id.parse().ok()) else { continue };
            if !orphans.contains(&id) || document.contains_key(CLOSING) {
                continue;
            }
            let event = close(&event_decode::started(id, document.get_str(EVENT).unwrap_or_default()));
            let text = serde_json::to_string(&event).map_err(|error| transient(DOING).with_source(error))?;
            changes.push(Change {
                filter: doc! {"_id": super::time::hex(id), CLOSING: {"$exists": false}},
                update: doc! {"$set": {CLOSING: text}},
                upsert: false,
                many: false,
            });
        }
        if !changes.is_empty() {
            connection.update(DOING, &names.started, changes).await?.done(DOING)?;
        }
        let search = Search {
            filter: doc! {"_id": {"$in": open_list::hexes(&orphans)}, CLOSING: {"$exists": true}},
            ..Search::default()
        };
        let kept = connection.read(DOING).await?.find(&names.started, search).await?;
        let mut ends = Vec::new();
        let mut done = Vec::new();
        for document in &kept {
            let Some(id) = document.get_str("_id").ok().and_then(|id| id.parse::<EventId>().ok()) else { continue };
            let end = document.get_str(CLOSING).ok().and_then(|text| serde_json::from_str::<AuditEvent>(text).ok());
            ends.push(end.unwrap_or_else(|| close(&event_decode::started(id, ""))));
            done.push(id);
        }
        if !insert(connection, names, &ends).await?.is_empty() {
            confirm(connection, names).await?;
        }
        // Of several that close the same event, one deletes the document.
        open_list::remove(connection, names, DOING, &done).await
    }
}

fn binary(value: &Bson) -> Option<Binary> {
    match value {
        Bson::Binary(binary) => Some(binary.clone()),
        _ => None,
    }
}

const DOING: &str = "closing orphans";
/// The field with the event that closes an orphan.
pub(super) const CLOSING: &str = "closing";
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The time for which a count must be the same: six counts were missed.
const GRACE: Duration = Duration::from_secs(3);
/// An answer that took longer says nothing about the time before it.
const SLOW: Duration = Duration::from_millis(1000);
const LONGEST_WATCH: Duration = Duration::from_secs(60);
