//! `memory:`: events in the memory of the process, for tests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    AuditStore, Capabilities, CellErasure, Diagnostic, ForeignRow, Parts, PurgeOutcome, Reader, Removal,
    ReplaceEventFn, SealBatch, Sealing, StoreAdmin, StoreError, StoreErrorKind, StoreFuture, StoredCheckpoint,
    StoredLeaf, StoredNode, StoredRemoval, StoredSeed, UnsealedEvents,
};
use crate::event::{AuditEvent, EventId, Phase, Timestamp};
use crate::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};

/// Events in the memory of the process, for tests: gone when the last handle goes.
///
/// Clones share the events, so that a test can read what an app under test has written. Each clone is closed by itself.
#[derive(Default)]
pub struct MemoryStore {
    events: Arc<Mutex<Events>>,
    closed: AtomicBool,
}

impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self { events: self.events.clone(), closed: AtomicBool::new(false) }
    }
}

/// Shows the number of events, and nothing of them.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("events", &self.lock().cursors.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Events {
    by_cursor: BTreeMap<Cursor, AuditEvent>,
    cursors: HashMap<EventId, Cursor>,
    /// The `started` events that nothing has ended yet.
    open: HashSet<EventId>,
    seal: Seal,
}

/// The seal of the events.
#[derive(Default)]
struct Seal {
    leaves: Vec<StoredLeaf>,
    indexes: HashMap<EventId, usize>,
    nodes: Vec<StoredNode>,
    checkpoints: Vec<StoredCheckpoint>,
    removals: Vec<StoredRemoval>,
}

impl Events {
    fn passes(&self, filter: &Filter, event: &AuditEvent) -> bool {
        let is_folded = filter.folded && event.phase == Phase::Started && !self.open.contains(&event.event_id);
        !is_folded && filter.matches(event)
    }

    /// The events that pass the filter, oldest first.
    fn passing<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a AuditEvent> {
        self.by_cursor.values().filter(|event| self.passes(filter, event))
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every event, newest first.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.lock().by_cursor.values().rev().cloned().collect()
    }

    fn check_open(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Permanent, "memory", doing).with_hint("it was closed"));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        // Nothing under the lock panics half way through a change.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memory")
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.check_open("append")?;
            let mut kept = self.lock();
            for event in events {
                let place = Cursor::of(event);
                if let std::collections::hash_map::Entry::Vacant(entry) = kept.cursors.entry(event.event_id) {
                    entry.insert(place);
                    kept.by_cursor.insert(place, event.clone());
                    if event.phase == Phase::Started {
                        kept.open.insert(event.event_id);
                    }
                }
            }
            for ended in events.iter().filter_map(|event| event.request.started_event_id) {
                kept.open.remove(&ended);
            }
            Ok(())
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(self.check_open("health check")))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            Ok(())
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            reader: Some(self),
            admin: Some(self),
            removal: Some(self),
            sealing: Some(self),
            erasure: Some(self),
            ..Parts::NONE
        }
    }
}

impl Reader for MemoryStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            let kept = self.lock();
            let end = query.after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
            Ok(kept
                .by_cursor
                .range((std::ops::Bound::Unbounded, end))
                .rev()
                .map(|(_, event)| event)
                .filter(|event| kept.passes(&query.filter, event))
                .skip(usize::try_from(query.skip).unwrap_or(usize::MAX))
                .take(query.limit)
                .cloned()
                .collect())
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move { Ok(self.lock().passing(filter).count() as u64) })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let mut found: HashMap<Option<String>, u64> = HashMap::new();
            for event in self.lock().passing(filter) {
                *found.entry(by.value_of(event)).or_default() += 1;
            }
            let mut counts = found.into_iter().map(|(value, events)| ValueCount { value, count: events }).collect();
            ValueCount::sort_and_truncate(&mut counts, at_most);
            Ok(counts)
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let mut counts = vec![0; buckets.len()];
            for event in self.lock().passing(filter) {
                if let Some(count) = buckets.index_of(event.created_at).and_then(|bucket| counts.get_mut(bucket)) {
                    *count += 1;
                }
            }
            Ok(counts)
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let kept = self.lock();
            Ok(kept.cursors.get(&id).and_then(|place| kept.by_cursor.get(place)).cloned())
        })
    }
}

impl StoreAdmin for MemoryStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            *self.lock() = Events::default();
            Ok(())
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let mut kept = self.lock();
            let end = Cursor { created_at: before, event_id: EventId::from_u128(0) };
            let old: Vec<Cursor> = kept.by_cursor.range(..end).map(|(place, _)| *place).take(at_most).collect();
            for place in &old {
                kept.by_cursor.remove(place);
                kept.cursors.remove(&place.event_id);
                kept.open.remove(&place.event_id);
            }
            Ok(PurgeOutcome { deleted: old.len() as u64, has_more: old.len() == at_most })
        })
    }
}

impl Removal for MemoryStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move { Ok(self.query(query).await?.iter().map(Cursor::of).collect()) })
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut kept = self.lock();
            let mut deleted = 0;
            for place in positions {
                if kept.by_cursor.remove(place).is_some() {
                    kept.cursors.remove(&place.event_id);
                    if let Some(index) = kept.seal.indexes.get(&place.event_id).copied() {
                        kept.seal.leaves.get_mut(index).into_iter().for_each(|leaf| leaf.seed = StoredSeed::Gone);
                    }
                    deleted += 1;
                }
            }
            Ok(deleted)
        })
    }

    /// Returns none: the store has no recovery, and so no list.
    fn still_open<'a>(&'a self, _: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn finish(&self, _: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl CellErasure for MemoryStore {
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            self.check_open("erasing")?;
            let mut kept = self.lock();
            let mut replaced = 0;
            for id in ids {
                let kept = &mut *kept;
                let Some(event) = kept.cursors.get(id).and_then(|place| kept.by_cursor.get_mut(place)) else {
                    continue;
                };
                let leaf = kept.seal.indexes.get(id).and_then(|index| kept.seal.leaves.get_mut(*index));
                let Some(erased) = replace(event, leaf.as_ref().map(|leaf| &leaf.seed)) else { continue };
                *event = erased.event;
                if let (Some(leaf), Some(seed)) = (leaf, erased.seed) {
                    leaf.seed = StoredSeed::from_bytes(&seed);
                }
                replaced += 1;
            }
            Ok(replaced)
        })
    }

    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Every event that was appended is there, so none is late: a position is always empty.
impl Sealing for MemoryStore {
    fn newest_checkpoint(&self) -> StoreFuture<'_, Option<StoredCheckpoint>> {
        Box::pin(async move { Ok(self.lock().seal.checkpoints.last().cloned()) })
    }

    fn checkpoints(&self, after: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredCheckpoint>> {
        Box::pin(async move {
            let kept = self.lock();
            let later = kept.seal.checkpoints.iter().filter(|checkpoint| checkpoint.size > after);
            Ok(later.take(at_most).cloned().collect())
        })
    }

    fn unsealed<'a>(&'a self, _: &'a str, at_most: usize) -> StoreFuture<'a, UnsealedEvents> {
        Box::pin(async move {
            let kept = self.lock();
            let without_leaf = kept.by_cursor.values().filter(|event| !kept.seal.indexes.contains_key(&event.event_id));
            let events: Vec<AuditEvent> = without_leaf.take(at_most).cloned().collect();
            let has_more = events.len() == at_most;
            Ok(UnsealedEvents { events, position: String::new(), has_more })
        })
    }

    fn seal<'a>(&'a self, batch: &'a SealBatch) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.check_open("sealing")?;
            let seal = &mut self.lock().seal;
            if seal.checkpoints.last().map(|newest| newest.size) != batch.after {
                return Ok(false);
            }
            for leaf in &batch.leaves {
                seal.indexes.insert(leaf.event_id, seal.leaves.len());
                seal.leaves.push(leaf.clone());
            }
            seal.nodes.extend(&batch.nodes);
            seal.checkpoints.push(batch.checkpoint.clone());
            Ok(true)
        })
    }

    fn leaves(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredLeaf>> {
        Box::pin(async move {
            let first = usize::try_from(first).unwrap_or(usize::MAX);
            Ok(self.lock().seal.leaves.iter().skip(first).take(at_most).cloned().collect())
        })
    }

    fn leaf_of(&self, id: EventId) -> StoreFuture<'_, Option<StoredLeaf>> {
        Box::pin(async move {
            let kept = self.lock();
            Ok(kept.seal.indexes.get(&id).and_then(|index| kept.seal.leaves.get(*index)).cloned())
        })
    }

    fn leaf_indexes<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<(EventId, u64)>> {
        Box::pin(async move {
            let kept = self.lock();
            let index = |id: &EventId| Some((*id, *kept.seal.indexes.get(id)? as u64));
            Ok(ids.iter().filter_map(index).collect())
        })
    }

    fn removals(&self, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredRemoval>> {
        Box::pin(async move {
            let kept = self.lock();
            Ok(kept.seal.removals.iter().filter(|stored| stored.number >= first).take(at_most).cloned().collect())
        })
    }

    fn add_removal<'a>(&'a self, number: u64, note: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.check_open("purge")?;
            let removals = &mut self.lock().seal.removals;
            if removals.iter().any(|stored| stored.number == number) {
                return Ok(false);
            }
            removals.push(StoredRemoval { number, note: note.to_owned() });
            removals.sort_by_key(|stored| stored.number);
            Ok(true)
        })
    }

    /// Returns none: only this crate writes to the memory.
    fn foreign_rows(&self, _: usize) -> StoreFuture<'_, Vec<ForeignRow>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn nodes(&self, level: u8, first: u64, at_most: usize) -> StoreFuture<'_, Vec<StoredNode>> {
        Box::pin(async move {
            let kept = self.lock();
            let of_level = kept.seal.nodes.iter().filter(|node| node.level == level && node.index >= first);
            Ok(of_level.take(at_most).copied().collect())
        })
    }

    fn events<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            let kept = self.lock();
            let places = ids.iter().filter_map(|id| kept.cursors.get(id));
            Ok(places.filter_map(|place| kept.by_cursor.get(place)).cloned().collect())
        })
    }
}
