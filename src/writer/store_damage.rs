//! Damage that the store finds during maintenance.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::log_lines::log_line;
use crate::store::{StoreError, StoreErrorKind, chain};
use crate::throttle::Throttle;

/// Damage that the store found during maintenance. No caller waits for maintenance, so the health check reports it.
#[derive(Debug, Default)]
pub(super) struct StoreDamage {
    found: Mutex<Option<String>>,
    failures: Throttle,
}

impl StoreDamage {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        // No code panics under this lock half way through a change.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the result of maintenance. Returns true if there may be more to do.
    pub(super) fn record(&self, result: Result<bool, StoreError>) -> bool {
        match result {
            Ok(more) => {
                *self.lock() = None;
                more
            }
            Err(cause) if cause.kind() == StoreErrorKind::Corrupt => {
                self.note(&cause);
                false
            }
            Err(cause) => {
                if let Some(unsaid) = self.failures.pass() {
                    let error = chain(&cause).to_string();
                    log_line(move || tracing::warn!(error, unsaid, "the audit store was not maintained"));
                }
                false
            }
        }
    }

    /// Writes one line to the operator's log.
    fn note(&self, cause: &StoreError) {
        let text = chain(cause).to_string();
        let is_news = self.lock().replace(text.clone()).is_none();
        if is_news {
            log_line(move || {
                tracing::error!(
                    error = text,
                    "the audit store is damaged: keep a copy of it as it is, and see what can be read of it"
                );
            });
        }
    }

    /// Returns true if the last maintenance found damage.
    pub(super) fn is_found(&self) -> bool {
        self.lock().is_some()
    }

    /// Returns an error if the store is damaged.
    pub(super) fn check(&self, store: &'static str) -> Result<(), StoreError> {
        match &*self.lock() {
            Some(text) => Err(StoreError::new(StoreErrorKind::Corrupt, store, "maintenance").with_source(text.clone())),
            None => Ok(()),
        }
    }
}
