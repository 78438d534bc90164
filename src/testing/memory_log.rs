//! A log in memory.

use crate::event::AuditEvent;
use crate::store::MemoryStore;
use crate::writer::AuditLog;

/// A log in memory whose events a test can read.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    log: AuditLog,
    store: MemoryStore,
}

impl MemoryLog {
    /// Opens an empty log.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    pub async fn open() -> Self {
        let store = MemoryStore::new();
        let opened = AuditLog::builder().store(store.clone()).open().await;
        Self { log: opened.expect("a log in memory opens within a tokio runtime"), store }
    }

    /// Returns the log, for [`AuditLayer::new`](crate::AuditLayer::new).
    pub fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Returns every recorded event, oldest first.
    pub fn events(&self) -> Vec<AuditEvent> {
        let mut events = self.store.events();
        events.reverse();
        events
    }
}
