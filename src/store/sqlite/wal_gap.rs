//! The frames that the index counts, in the log at its path.
//!
//! A connection of another program, without our commit hook, may have a removed log open and share the index:
//!
//! - t0: `-wal` is removed. A copies and empties the removed log, opens a new one, and commits 7 frames. The index counts 7.
//! - t1: The other program commits. Its page goes into the removed log as frame 8, and the index counts 8.
//! - t2: A commits frame 9. The new log has no frame 8.
//! - t3: All are killed. SQLite makes the index anew from the log, and finds 7 frames: frame 9 is lost.
//!
//! So nothing is committed at t2: the commit hook, which holds the write lock, reads the number of frames from the index, and
//! the heads of those that came since the last look from the log. A checkpoint would copy what is not there: none is made.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::file_key::FileKey;
use super::index_file::{IndexFile, IndexHeader};
use super::wal_file::WalFile;

/// A log and its index.
#[derive(Debug)]
pub(super) struct LogFrames {
    log: WalFile,
    index: IndexFile,
    /// The frames that were in the log at the last look.
    seen: Mutex<Option<IndexHeader>>,
    has_gap: AtomicBool,
}

/// The state of a log between two checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogProgress {
    /// The number of frames in the log.
    pub(super) frames: u64,
    /// The number of frames that are in the database already.
    pub(super) copied: u64,
}

impl LogFrames {
    pub(super) fn new(log: WalFile, index: IndexFile) -> Self {
        Self { log, index, seen: Mutex::new(None), has_gap: AtomicBool::new(false) }
    }

    pub(super) fn log(&self) -> &WalFile {
        &self.log
    }

    pub(super) fn index_id(&self) -> io::Result<FileKey> {
        self.index.id()
    }

    /// Looks at the new frames. Returns true if one that the index counts is not in the log. Without the write lock, a gap may be
    /// missed.
    pub(super) fn look_for_gap(&self) -> io::Result<bool> {
        let Some(header) = self.index.header()? else { return Ok(false) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.filter(|seen| seen.salts == header.salts && seen.frames <= header.frames);
        let first = known.map_or(0, |known| known.frames) + 1;
        if !self.log.has_frames(first..=header.frames, header.salts)? {
            // Another process may have begun the log anew between the two.
            if self.index.header()? != Some(header) {
                return Ok(false);
            }
            self.has_gap.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        *seen = Some(header);
        Ok(false)
    }

    /// Returns the number of frames in the log, and of those that are in the database already. Both may be old.
    pub(super) fn progress(&self) -> io::Result<LogProgress> {
        let frames = self.index.header()?.map_or(0, |header| header.frames);
        Ok(LogProgress { frames, copied: self.index.copied_frames()?.min(frames) })
    }

    /// Returns true if the log is the one of the index: its first frame counts.
    pub(super) fn fit(&self) -> io::Result<bool> {
        let header = self.index.header()?.filter(|header| header.frames > 0);
        header.map_or(Ok(false), |header| self.log.has_frames(1..=1, header.salts))
    }

    /// Returns true if a look has met a gap.
    pub(super) fn has_gap(&self) -> bool {
        self.has_gap.load(Ordering::Relaxed)
    }
}
