//! A store whose appends do as a script says.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_audit::store::{AuditStore, Capabilities, Diagnostic, MemoryStore, StoreError, StoreErrorKind, StoreFuture};
use tower_audit::{AuditEvent, AuditLog};

/// The write timeout of its log.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_millis(500);

/// The behaviour of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Append {
    Keeps,
    KeepsAfter(Duration),
    Fails(StoreErrorKind),
    FailsAfter(Duration),
    /// Its answer is lost.
    KeepsAndFails,
}

type Script = Box<dyn FnMut(&[AuditEvent]) -> Append + Send>;

/// A store whose appends do as a script says.
pub(crate) struct Scripted {
    pub(crate) kept: MemoryStore,
    script: Mutex<Script>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { kept: MemoryStore::new(), script: Mutex::new(Box::new(|_| Append::Keeps)) })
    }

    pub(crate) async fn log() -> (AuditLog, Arc<Self>) {
        let store = Self::new();
        let log = AuditLog::builder().store(store.clone()).write_timeout(WRITE_TIMEOUT).open().await.expect("it opens");
        (log, store)
    }

    pub(crate) fn set(&self, script: impl FnMut(&[AuditEvent]) -> Append + Send + 'static) {
        *self.script.lock().expect("no panic") = Box::new(script);
    }

    pub(crate) fn set_all(&self, append: Append) {
        self.set(move |_| append);
    }
}

impl AuditStore for Scripted {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("scripted")
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let append = (self.script.lock().expect("no panic"))(events);
            match append {
                Append::Fails(kind) => return Err(StoreError::new(kind, "scripted", "append")),
                Append::FailsAfter(delay) => {
                    tokio::time::sleep(delay).await;
                    return Err(StoreError::new(StoreErrorKind::Transient, "scripted", "append"));
                }
                Append::KeepsAfter(delay) => tokio::time::sleep(delay).await,
                Append::Keeps | Append::KeepsAndFails => {}
            }
            self.kept.append(events).await?;
            match append {
                Append::KeepsAndFails => Err(StoreError::new(StoreErrorKind::Transient, "scripted", "append")),
                _ => Ok(()),
            }
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.kept.close()
    }
}
