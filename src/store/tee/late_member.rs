//! A member that could not be reached when the tee was opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use crate::event::AuditEvent;
use crate::store::{AuditStore, Capabilities, Diagnostic, Parts, StoreError, StoreErrorKind, StoreFuture};

/// A store that is opened by the first append or health check that reaches it.
///
/// A service starts without it: its events wait in the member's backlog. It is not read before the next start.
pub(in crate::store) struct LateMember {
    capabilities: Capabilities,
    open: Opener,
    store: OnceCell<Arc<dyn AuditStore>>,
    is_closed: AtomicBool,
}

/// Opens the store.
pub(in crate::store) type Opener = Box<dyn Fn() -> StoreFuture<'static, Arc<dyn AuditStore>> + Send + Sync>;

impl LateMember {
    /// `capabilities` are those of a store of this kind.
    pub(in crate::store) fn new(capabilities: Capabilities, open: Opener) -> Self {
        Self { capabilities, open, store: OnceCell::new(), is_closed: AtomicBool::new(false) }
    }

    /// Returns true if the store is open.
    pub(in crate::store) fn is_open(&self) -> bool {
        self.store.initialized()
    }

    async fn store(&self, operation: &'static str) -> Result<&Arc<dyn AuditStore>, StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            let error = StoreError::new(StoreErrorKind::Permanent, self.capabilities.name, operation);
            return Err(error.with_hint("it was closed"));
        }
        self.store.get_or_try_init(|| (self.open)()).await
    }
}

impl fmt::Debug for LateMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateMember")
            .field("store", &self.capabilities.name)
            .field("is_open", &self.store.initialized())
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl AuditStore for LateMember {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn parts(&self) -> Parts<'_> {
        self.store.get().map_or(Parts::NONE, |store| store.parts())
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.store("append").await?.append(events).await })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.store("health check").await?.health().await })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(async move { self.store("diagnosis").await?.diagnose().await })
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            match self.store.get() {
                Some(store) => store.maintain().await,
                None => Ok(false),
            }
        })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.is_closed.store(true, Ordering::Release);
            match self.store.get() {
                Some(store) => store.close().await,
                None => Ok(()),
            }
        })
    }
}
