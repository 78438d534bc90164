//! A store that is broken on purpose.

use std::fmt;
use std::sync::Arc;

use super::super::fault::Fault;
use super::state::SharedFault;
use crate::event::{AuditEvent, EventType};
use crate::store::{
    AuditStore, Capabilities, CellErasure, Diagnostic, OrphanRecovery, Parts, Reader, Removal, Sealing, StoreAdmin,
    StoreError, StoreErrorKind, StoreFuture,
};

/// A store around another that does what a [`Fault`] says, and can be broken and healed while it is in use.
///
/// It also counts the appends, and holds them up on demand, so that a test decides when they go on, without sleeping:
///
/// ```
/// # use std::sync::Arc;
/// # use tower_audit::store::{AuditStore, MemoryStore, StoreErrorKind};
/// # use tower_audit::store::conformance::{Fault, FaultyStore};
/// # use tower_audit::{AuditEvent, EventType};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = FaultyStore::new(Arc::new(MemoryStore::new()));
/// store.pause_appends();
/// let appending = tokio::spawn({
///     let store = store.clone();
///     async move { store.append(&[AuditEvent::new(EventType::UPLOAD)]).await }
/// });
/// store.until_paused(1).await;
/// store.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Transient)));
/// store.resume_appends();
/// assert!(appending.await.unwrap().is_err());
/// assert_eq!(store.appends(), 1);
/// # });
/// ```
///
/// Clones are the same handle. Once healed it does nothing on its own; what a fault has lost stays lost.
#[derive(Clone)]
pub struct FaultyStore {
    pub(super) inner: Arc<dyn AuditStore>,
    pub(super) shared: Arc<SharedFault>,
    /// The number of this handle among those that share the faults.
    pub(super) handle: usize,
}

impl FaultyStore {
    /// Around this store, without a fault.
    pub fn new(inner: Arc<dyn AuditStore>) -> Self {
        let shared = Arc::new(SharedFault::default());
        Self { inner, handle: shared.next_handle(), shared }
    }

    /// Around this store, with this fault.
    pub fn with_fault(inner: Arc<dyn AuditStore>, fault: Fault) -> Self {
        let store = Self::new(inner);
        store.set_fault(Some(fault));
        store
    }

    /// Another handle, which shares the fault, the counter and the gate with this one. `inner` is another handle on
    /// the events of this one's.
    #[must_use]
    pub fn second_handle(&self, inner: Arc<dyn AuditStore>) -> Self {
        self.handle_maker()(inner)
    }

    /// Returns a function that makes other handles. It does not keep this handle alive.
    pub(in super::super) fn handle_maker(&self) -> impl Fn(Arc<dyn AuditStore>) -> Self + Send + Sync + 'static {
        let shared = self.shared.clone();
        move |inner| Self { inner, handle: shared.next_handle(), shared: shared.clone() }
    }

    /// Breaks the store, or heals it. Appends that are held up see it when they go on.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.set_fault(fault);
    }

    /// Returns the current fault.
    pub fn fault(&self) -> Option<Fault> {
        self.shared.fault()
    }

    /// Returns the number of appends that have begun, including failed and paused ones.
    pub fn appends(&self) -> usize {
        *self.shared.appends.borrow()
    }

    /// Waits until as many appends have begun.
    pub async fn until_appends(&self, count: usize) {
        self.shared.appends.wait_until(|appends| *appends >= count).await;
    }

    /// Holds up every append that begins from now on.
    pub fn pause_appends(&self) {
        self.shared.holding.set(true);
    }

    /// Lets them go on.
    pub fn resume_appends(&self) {
        self.shared.holding.set(false);
    }

    /// Returns the number of paused appends.
    pub fn paused_appends(&self) -> usize {
        *self.shared.held.borrow()
    }

    /// Waits until as many appends are held up.
    pub async fn until_paused(&self, count: usize) {
        self.shared.held.wait_until(|held| *held >= count).await;
    }

    /// The store inside.
    pub fn inner(&self) -> &Arc<dyn AuditStore> {
        &self.inner
    }

    pub(super) fn error(&self, kind: StoreErrorKind, doing: &'static str) -> StoreError {
        StoreError::new(kind, self.inner.capabilities().name, doing).with_source("an injected fault")
    }

    pub(super) fn refusal<T>(&self, doing: &'static str) -> Result<T, StoreError> {
        Err(self.error(StoreErrorKind::Permanent, doing))
    }
}

/// Shows the store inside and what is wrong with it.
impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).field("fault", &self.fault()).finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl AuditStore for FaultyStore {
    fn capabilities(&self) -> Capabilities {
        let told = self.inner.capabilities();
        match self.fault() {
            Some(Fault::CapabilitiesChange) => {
                Capabilities { max_parallel_appends: told.max_parallel_appends + self.appends(), ..told }
            }
            Some(Fault::ServesNoAppend) => Capabilities { max_parallel_appends: 0, ..told },
            _ => told,
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(self.append_faultily(events))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            match self.fault() {
                Some(Fault::HealthAlwaysBad) => self.refusal("health check"),
                Some(Fault::HealthAlwaysGood) => Ok(()),
                Some(Fault::HealthLeavesAnEvent) => self.inner.append(&[AuditEvent::new(EventType::AUTH)]).await,
                _ => self.inner.health().await,
            }
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.inner.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(self.maintain_faultily())
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            if self.fault() == Some(Fault::CloseLosesLast) {
                self.lose_the_newest().await?;
            }
            self.inner.close().await
        })
    }

    fn parts(&self) -> Parts<'_> {
        let inner = self.inner.parts();
        Parts {
            reader: inner.reader.map(|_| self as &dyn Reader),
            admin: inner.admin.map(|_| self as &dyn StoreAdmin),
            removal: inner.removal.map(|_| self as &dyn Removal),
            recovery: inner.recovery.map(|_| self as &dyn OrphanRecovery),
            transactional: inner.transactional,
            sealing: inner.sealing.map(|_| self as &dyn Sealing),
            erasure: inner.erasure.map(|_| self as &dyn CellErasure),
        }
    }
}
