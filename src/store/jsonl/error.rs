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

impl<T> DuringOperation<T> for serde_json::Result<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| error_of(StoreErrorKind::Permanent, operation).with_source(error))
    }
}

fn of_io(operation: &'static str, error: io::Error) -> StoreError {
    let (kind, hint) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (StoreErrorKind::Transient, "no space is left for the file: free some")
        }
        ErrorKind::FileTooLarge => (
            StoreErrorKind::Transient,
            "the process may not write files of this size: raise the limit (`ulimit -f`), or set `rotate_bytes` below it",
        ),
        ErrorKind::ReadOnlyFilesystem => (StoreErrorKind::Transient, "the file system is read-only"),
        ErrorKind::PermissionDenied => (
            StoreErrorKind::Denied,
            "the user that this runs as has no right to the file or its folder; with logrotate, name that user after \
             `create`",
        ),
        ErrorKind::NotFound => (StoreErrorKind::Transient, "the folder of the file was removed: make it again"),
        _ => (StoreErrorKind::Transient, ""),
    };
    let made = error_of(kind, operation).with_source(error);
    if hint.is_empty() { made } else { made.with_hint(hint) }
}

/// Returns true for an error of one file alone: damaged bytes, a part of the disk that cannot be read, a broken name. An error
/// of the process, such as too many open files, is none.
pub(super) fn is_of_one_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_file =
        [Errno::IO, Errno::LOOP, Errno::ISDIR, Errno::NOTDIR, Errno::BADMSG, Errno::NXIO, Errno::NODEV, Errno::STALE];
    is_damage(error) || Errno::from_io_error(error).is_some_and(|errno| of_file.contains(&errno))
}

/// Returns true for an error in compressed bytes.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
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

pub(super) const NAME: &str = "jsonl";
pub(super) const OPENING: &str = "opening the file";
pub(super) const APPEND: &str = "append";
