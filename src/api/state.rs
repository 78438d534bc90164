//! The state of the API's routes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Gate;
use crate::AuditLog;
use crate::store::{AuditStore, StoreError, StoreErrorKind};

/// The default timeout of the gate and of each query.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What every handler knows.
pub(crate) struct ApiState {
    store: Option<Arc<dyn AuditStore>>,
    pub(crate) gate: Box<dyn Gate>,
    /// Where readings are recorded, if they are.
    pub(crate) read_log: Option<AuditLog>,
    pub(crate) timeout: Duration,
}

impl ApiState {
    pub(crate) fn new(store: Option<Arc<dyn AuditStore>>, gate: impl Gate) -> Self {
        Self { store, gate: Box::new(gate), read_log: None, timeout: DEFAULT_TIMEOUT }
    }

    /// The store, if there is one, if it can be read, and if readings that must be recorded can be.
    pub(super) fn readable_store(&self) -> Option<Arc<dyn AuditStore>> {
        if self.read_log.as_ref().is_some_and(AuditLog::is_off) {
            return None;
        }
        self.store.clone().filter(|store| store.parts().reader.is_some())
    }

    /// Whether the store lets us read, in time. One that cannot be read at all is told to those who ask.
    pub(crate) async fn check_access(&self) -> Result<(), StoreError> {
        let Some(store) = self.readable_store() else { return Ok(()) };
        let Some(reader) = store.parts().reader else { return Ok(()) };
        match tokio::time::timeout(self.timeout, reader.check_access()).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(StoreErrorKind::Transient, store.capabilities().name, "checking the access")
                .with_hint("it did not answer in time")),
        }
    }

    /// Tells the operator now what each request would meet: at the start somebody looks.
    pub(crate) fn warn_if_denied(self: &Arc<Self>, what: &'static str) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let api = Arc::clone(self);
        runtime.spawn(async move {
            match api.check_access().await {
                Err(error) if error.kind() == StoreErrorKind::Denied => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the account of this service may not read the audit log: the {what} shows nothing"
                ),
                // What may be otherwise by then, the first request tells.
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
