//! Errors of the store.

use crate::store::{StoreError, StoreErrorKind};

pub(super) const NAME: &str = "nats";
pub(super) const OPEN: &str = "open";
pub(super) const APPEND: &str = "append";
pub(super) const HEALTH: &str = "health check";

pub(super) fn error(kind: StoreErrorKind, operation: &'static str, hint: impl Into<String>) -> StoreError {
    StoreError::new(kind, NAME, operation).with_hint(hint)
}

/// A URL or a stream that cannot be used as it is.
pub(super) fn config(hint: impl Into<String>) -> StoreError {
    error(StoreErrorKind::Config, "configuration", hint)
}

/// Something that may pass.
pub(super) fn transient(operation: &'static str, hint: impl Into<String>) -> StoreError {
    error(StoreErrorKind::Transient, operation, hint)
}

/// A stream or a server that may lose acknowledged messages.
pub(super) fn not_durable(operation: &'static str, weaknesses: &[String]) -> StoreError {
    error(StoreErrorKind::NotDurable, operation, weaknesses.join("; "))
}
