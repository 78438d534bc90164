//! The state of the API's routes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Gate;
use crate::AuditLog;
use crate::store::{AuditStore, StoreError, StoreErrorKind};

/// The default timeout of the gate and of each query.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of the routes.
pub(crate) struct ApiState {
    store: Option<Arc<dyn AuditStore>>,
    pub(crate) gate: Box<dyn Gate>,
    /// The log that reads are recorded in, if any.
    pub(crate) read_log: Option<AuditLog>,
    pub(crate) timeout: Duration,
}

impl ApiState {
    pub(crate) fn new(store: Option<Arc<dyn AuditStore>>, gate: impl Gate) -> Self {
        Self { store, gate: Box::new(gate), read_log: None, timeout: DEFAULT_TIMEOUT }
    }

    /// Returns the store if it can be read, and if the log of reads, if any, is on.
    pub(super) fn readable_store(&self) -> Option<Arc<dyn AuditStore>> {
        if self.read_log.as_ref().is_some_and(AuditLog::is_disabled) {
            return None;
        }
        self.store.clone().filter(|store| store.parts().reader.is_some())
    }

    /// Checks the right to read. Without a readable store there is nothing to check: each request gets 501.
    pub(crate) async fn check_access(&self) -> Result<(), StoreError> {
        let Some(store) = self.readable_store() else { return Ok(()) };
        let Some(reader) = store.parts().reader else { return Ok(()) };
        match tokio::time::timeout(self.timeout, reader.check_access()).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(StoreErrorKind::Transient, store.capabilities().name, "checking the access")
                .with_hint("it did not answer in time")),
        }
    }

    /// Logs a warning at the start if the account may not read: each request would fail.
    pub(crate) fn warn_if_denied(self: &Arc<Self>, what: &'static str) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let api = Arc::clone(self);
        runtime.spawn(async move {
            match api.check_access().await {
                Err(error) if error.kind() == StoreErrorKind::Denied => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the account of this service may not read the audit log: the {what} shows nothing"
                ),
                // Other errors may have passed by the first request, which reports them.
                _ => {}
            }
        });
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("store", &self.store)
            .field("records_readings", &self.read_log.is_some())
            .field("deadline", &self.timeout)
            .finish_non_exhaustive()
    }
}
