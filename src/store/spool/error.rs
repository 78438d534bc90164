//! Maps errors of the file system to store errors with remedies.

use std::io::{self, ErrorKind};

use crate::store::{StoreError, StoreErrorKind};

/// Adds the operation to an error.
pub(super) trait DuringOperation<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T> DuringOperation<T> for io::Result<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| of_io(operation, error))
    }
}

fn of_io(operation: &'static str, error: io::Error) -> StoreError {
    let (kind, hint) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Transient, "no space is left for the spool: free some")
        }
        ErrorKind::FileTooLarge => {
            (StoreErrorKind::Transient, "the process may not write files of 16 MiB: raise the limit (`ulimit -f`)")
        }
        ErrorKind::ReadOnlyFilesystem => (StoreErrorKind::Transient, "the file system is read-only"),
        ErrorKind::PermissionDenied => (
            StoreErrorKind::Denied,
            "the user that this runs as has no right to the spool's folder: give it to that user",
        ),
        ErrorKind::InvalidData => (StoreErrorKind::Corrupt, ""),
        ErrorKind::NotFound => (StoreErrorKind::Transient, "the folder of the spool was removed: make it again"),
        _ => (StoreErrorKind::Transient, ""),
    };
    let made = error_of(kind, operation).with_source(error);
    if hint.is_empty() { made } else { made.with_hint(hint) }
}

pub(super) fn error_of(kind: StoreErrorKind, operation: &'static str) -> StoreError {
    StoreError::new(kind, NAME, operation)
}

pub(super) fn config(hint: impl Into<String>) -> StoreError {
    error_of(StoreErrorKind::Config, OPENING).with_hint(hint)
}

pub(super) fn transient(operation: &'static str) -> StoreError {
    error_of(StoreErrorKind::Transient, operation)
}

/// The error of a call after the store was closed.
pub(super) fn closed_error(operation: &'static str) -> StoreError {
    error_of(StoreErrorKind::Permanent, operation).with_hint("the store is closed")
}

/// Runs `work` on a thread for blocking calls.
pub(super) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(transient(operation).with_source(error)),
    }
}

pub(super) const NAME: &str = "spool";
pub(super) const OPENING: &str = "opening the spool";
pub(super) const APPEND: &str = "append";
pub(super) const SHIPPING: &str = "shipping";
