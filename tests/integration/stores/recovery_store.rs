//! A store in memory that closes the `started` events of dropped handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, MemoryStore, OrphanRecovery, Parts, Removal, StoreFuture,
};
use tower_audit::{AuditEvent, EventId, Phase, Timestamp};

/// One handle. It lives until it is closed or dropped.
#[derive(Debug)]
pub(crate) struct OrphanMemory {
    backing: Backing,
    life: Mutex<Option<Arc<()>>>,
}

/// State shared by all handles.
#[derive(Debug, Clone)]
pub(crate) struct Backing {
    store: MemoryStore,
    writers: Arc<Mutex<HashMap<EventId, Weak<()>>>>,
}

impl OrphanMemory {
    pub(crate) fn new() -> Self {
        Self::on(&Backing { store: MemoryStore::new(), writers: Arc::default() })
    }

    /// Another handle on the same events.
    pub(crate) fn on(backing: &Backing) -> Self {
        Self { backing: backing.clone(), life: Mutex::new(Some(Arc::new(()))) }
    }

    pub(crate) fn backing(&self) -> Backing {
        self.backing.clone()
    }

    fn note_writer(&self, events: &[AuditEvent]) {
        let life =
            self.life.lock().expect("nothing panics under this lock").as_ref().map(Arc::downgrade).unwrap_or_default();
        let mut writers = self.backing.writers.lock().expect("nothing panics under this lock");
        for event in events.iter().filter(|event| event.phase == Phase::Started) {
            writers.entry(event.event_id).or_insert_with(|| life.clone());
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl AuditStore for OrphanMemory {
    fn capabilities(&self) -> Capabilities {
        self.backing.store.capabilities()
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.note_writer(events);
            self.backing.store.append(events).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.backing.store.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.backing.store.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.backing.store.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.life.lock().expect("nothing panics under this lock").take();
        self.backing.store.close()
    }

    fn parts(&self) -> Parts<'_> {
        Parts { recovery: Some(self), removal: Some(self), ..self.backing.store.parts() }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Removal for OrphanMemory {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        self.inner_removal().positions(query)
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        self.inner_removal().remove(positions)
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            let ended: Vec<_> =
                self.backing.store.events().iter().filter_map(|event| event.request.started_event_id).collect();
            let writers = self.backing.writers.lock().expect("nothing panics under this lock");
            Ok(ids.iter().copied().filter(|id| writers.contains_key(id) && !ended.contains(id)).collect())
        })
    }

    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        self.inner_removal().finish(copies_before)
    }
}

impl OrphanMemory {
    fn inner_removal(&self) -> &dyn Removal {
        self.backing.store.parts().removal.expect("memory has this part")
    }
}

impl OrphanRecovery for OrphanMemory {
    fn recover<'a>(&'a self, close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync)) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let reader = self.parts().reader.expect("memory can be read");
            let all = reader.query(&PageQuery::new(Filter::default(), usize::MAX)).await?;
            let ended: Vec<_> = all.iter().filter_map(|event| event.request.started_event_id).collect();
            let mut orphans = Vec::new();
            {
                // The handle that takes an event out of the map closes it.
                let mut writers = self.backing.writers.lock().expect("nothing panics under this lock");
                for event in all.iter().filter(|event| event.phase == Phase::Started) {
                    let dead = writers.get(&event.event_id).is_some_and(|life| life.strong_count() == 0);
                    if dead && writers.remove(&event.event_id).is_some() && !ended.contains(&event.event_id) {
                        orphans.push(close(event));
                    }
                }
            }
            self.backing.store.append(&orphans).await?;
            Ok(orphans.len() as u64)
        })
    }
}
