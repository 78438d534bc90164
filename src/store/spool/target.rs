//! The store that a spool ships to. It may be opened after the spool: a service starts while its server is away.

use std::fmt;
use std::sync::{Arc, OnceLock};

use futures_util::future::{Either, select};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::error::{NAME, OPENING, SHIPPING, config, error_of, transient};
use crate::store::{AuditStore, Durability, OpenOptions, StoreError, StoreErrorKind, StoreFuture};

/// Opens a store by its URL.
pub(crate) type OpenStoreFn = fn(String, OpenOptions) -> StoreFuture<'static, Arc<dyn AuditStore>>;

/// The target, open or not yet.
pub(super) struct Target {
    store: OnceLock<Arc<dyn AuditStore>>,
    url: Option<(String, OpenStoreFn)>,
    options: OpenOptions,
    /// The attempt to open it that goes on.
    opening: Mutex<Option<Opening>>,
}

type Opening = JoinHandle<Result<Arc<dyn AuditStore>, StoreError>>;

/// Without the URL.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("store", &self.store.get()).finish_non_exhaustive()
    }
}

impl Target {
    /// An open store.
    pub(super) fn of_store(store: Arc<dyn AuditStore>, options: OpenOptions) -> Result<Self, StoreError> {
        check(&*store, options)?;
        Ok(Self { store: store.into(), url: None, options, opening: Mutex::default() })
    }

    /// The store that a URL names. It is opened now if it answers within the timeout, and later otherwise.
    pub(super) async fn of_url(url: String, options: OpenOptions, open: OpenStoreFn) -> Result<Self, StoreError> {
        let target = Self { store: OnceLock::new(), url: Some((url, open)), options, opening: Mutex::default() };
        let opened = {
            let opening = std::pin::pin!(target.open());
            let timeout = std::pin::pin!(tokio::time::sleep(options.timeout));
            match select(opening, timeout).await {
                Either::Left((opened, _)) => opened.map(drop),
                Either::Right(_) => Ok(()),
            }
        };
        match opened {
            Err(error) if !error.is_transient() => Err(config("the target cannot be opened").with_source(error)),
            _ => Ok(target),
        }
    }

    /// The target, if it is open.
    pub(super) fn get(&self) -> Option<&Arc<dyn AuditStore>> {
        self.store.get()
    }

    /// The target; an error while it is not open.
    pub(super) fn opened(&self, operation: &'static str) -> Result<&Arc<dyn AuditStore>, StoreError> {
        self.get().ok_or_else(|| transient(operation).with_hint("the target of the spool could not be opened yet"))
    }

    /// Opens the target if it is not open.
    ///
    /// # Cancel safety
    /// The opening goes on, and the next call waits for it.
    pub(super) async fn open(&self) -> Result<&Arc<dyn AuditStore>, StoreError> {
        if let Some(store) = self.get() {
            return Ok(store);
        }
        let mut opening = self.opening.lock().await;
        if let Some(store) = self.get() {
            return Ok(store);
        }
        let (url, open) = self.url.as_ref().ok_or_else(|| transient(OPENING))?;
        let task = opening.get_or_insert_with(|| tokio::spawn(open(url.clone(), self.options)));
        let opened = task.await;
        *opening = None;
        let store = opened.map_err(|error| transient(OPENING).with_source(error))??;
        check(&*store, self.options)?;
        Ok(self.store.get_or_init(|| store))
    }

    /// Returns true unless the target is known to lose events.
    pub(super) fn is_durable(&self) -> bool {
        self.get().is_none_or(|store| store.capabilities().durable)
    }
}

/// A target keeps what it acknowledges, or nothing is gained by the spool.
fn check(store: &dyn AuditStore, options: OpenOptions) -> Result<(), StoreError> {
    let capabilities = store.capabilities();
    if capabilities.name == NAME {
        return Err(config("the target is a spool itself: name the store behind it"));
    }
    if !capabilities.durable && options.durability == Durability::Required {
        return Err(error_of(StoreErrorKind::NotDurable, SHIPPING).with_hint(format!(
            "the target is `{}:`, which may lose what it has acknowledged: name a durable store",
            capabilities.name
        )));
    }
    Ok(())
}
