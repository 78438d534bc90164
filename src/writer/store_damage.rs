//! Damage that the store has met while nobody waited for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::log_lines::log_line;
use crate::store::{StoreError, StoreErrorKind, chain};

/// Damage that the store has met in its housekeeping: there is no caller who could be told, so the health check says it.
#[derive(Debug, Default)]
pub(super) struct StoreDamage(Mutex<Option<String>>);

impl StoreDamage {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        // Nothing under this lock panics half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of how the store's housekeeping ended. Whether it may have more to do.
    pub(super) fn is_untidy(&self, tidied: Result<bool, StoreError>) -> bool {
        match tidied {
            Ok(more) => {
                *self.lock() = None;
                more
            }
            Err(cause) if cause.kind() == StoreErrorKind::Corrupt => {
                self.note(&cause);
                false
            }
            Err(cause) => {
                let error = chain(&cause).to_string();
                log_line(move || tracing::warn!(error, "the audit store could not tidy up"));
                false
            }
        }
    }

    /// The operator's log has one line of it.
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

    /// An error if there is any.
    pub(super) fn check(&self, store: &'static str) -> Result<(), StoreError> {
        match &*self.lock() {
            Some(text) => Err(StoreError::new(StoreErrorKind::Corrupt, store, "tidying up").with_source(text.clone())),
            None => Ok(()),
        }
    }
}
