//! Stores with events of chosen ages.

use std::sync::Arc;

use tempfile::TempDir;
use tower_audit::store::{AuditStore, MemoryStore, OpenOptions, open};
use tower_audit::{AuditEvent, EventType, Timestamp};

pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// The moment from which the tests count ages.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

/// An event of this age. Later numbers are later, by a microsecond each.
pub(crate) fn aged(days: i64, number: i64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUTH);
    event.created_at =
        Timestamp::from_micros(now().as_micros() - days * DAY_MICROS - 1_000_000 + number).expect("in range");
    event
}

/// A store and the folder that it may lie in.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn AuditStore>,
    folder: Option<TempDir>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new()), folder: None }
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&url(&folder), OpenOptions::default()).await.expect("it opens");
        Self { store, folder: Some(folder) }
    }

    /// Another handle on the same file.
    pub(crate) async fn second(&self) -> Arc<dyn AuditStore> {
        let folder = self.folder.as_ref().expect("the store is a file");
        open(&url(folder), OpenOptions::default()).await.expect("it opens")
    }

    /// The URL of the file.
    pub(crate) fn url(&self) -> String {
        url(self.folder.as_ref().expect("the store is a file"))
    }

    /// Drops the handle without closing it, and returns the folder.
    pub(crate) fn dies(self) -> Option<TempDir> {
        self.folder
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("audit.db").display())
}

/// The events of the store, without those of purges, newest first.
pub(crate) async fn left(store: &dyn AuditStore) -> Vec<AuditEvent> {
    let mut events = all(store).await;
    events.retain(|event| event.event_type != EventType::AUDIT_PURGE);
    events
}

/// The events of purges, newest first.
pub(crate) async fn purges(store: &dyn AuditStore) -> Vec<AuditEvent> {
    let mut events = all(store).await;
    events.retain(|event| event.event_type == EventType::AUDIT_PURGE);
    events
}

pub(crate) async fn all(store: &dyn AuditStore) -> Vec<AuditEvent> {
    use tower_audit::query::{Filter, PageQuery};
    let reader = store.parts().reader.expect("it can be read");
    reader.query(&PageQuery::new(Filter::default(), usize::MAX)).await.expect("it is read")
}

pub(crate) async fn fill(store: &dyn AuditStore, events: &[AuditEvent]) {
    for batch in events.chunks(500) {
        store.append(batch).await.expect("it is kept");
    }
}
