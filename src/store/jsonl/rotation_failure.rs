//! A rotation that failed, until it is tried again.

use std::time::{Duration, Instant};

use super::file_layout::FileKey;

/// A rotation that failed.
#[derive(Debug)]
pub(super) struct RotationFailure {
    key: FileKey,
    /// The end of the file.
    end: u64,
    at: Instant,
}

impl RotationFailure {
    pub(super) fn new(key: FileKey, end: u64) -> Self {
        Self { key, end, at: Instant::now() }
    }

    /// Returns true if it is too soon to try again: each try syncs the file and renames it.
    pub(super) fn is_fresh(&self, key: FileKey, end: u64) -> bool {
        self.key == key && end < self.end + RETRY_BYTES && self.at.elapsed() < RETRY_TIME
    }
}

/// Half of the smallest size from which a file is rotated.
const RETRY_BYTES: u64 = 32 << 10;
const RETRY_TIME: Duration = Duration::from_secs(10);
