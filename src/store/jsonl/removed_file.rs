//! A file that another program has removed, and that is still open here.

use std::sync::Arc;
use std::time::Instant;

use super::active_file::ActiveFile;
use super::file_index::FileIndex;
use super::log_file::LogFile;

/// A file that another program has removed. The kernel keeps it while it is open.
#[derive(Debug)]
pub(super) struct RemovedFile {
    pub(super) file: ActiveFile,
    /// Of its lines, as far as they are known.
    index: Arc<FileIndex>,
    pub(super) since: Instant,
    /// The time of the last try to put it back.
    pub(super) tried_at: Option<Instant>,
}

/// The wait for a file that cannot be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// A later append tries again.
    ForRoom,
    /// There is no later append.
    No,
}

impl RemovedFile {
    pub(super) fn new(file: ActiveFile, index: Arc<FileIndex>) -> Self {
        Self { file, index, since: Instant::now(), tried_at: None }
    }

    /// Returns true if one of these files is a copy of it, with every line that was acknowledged.
    ///
    /// t0: logrotate renames the file. t1: this process writes to it, finds another one at PATH, and does not acknowledge. t2:
    /// logrotate copies the file, compressed, and removes it. So all that was acknowledged is in the copy, and the copy may be
    /// shorter than the file.
    pub(super) fn is_kept_in(&self, files: &[LogFile]) -> bool {
        files.iter().any(|copy| {
            copy.index.len >= self.index.len
                && copy.index.least_id() == self.index.least_id()
                && copy.index.greatest_id() >= self.index.greatest_id()
        })
    }
}
