//! The identity of the files at PATH: replaced, removed and cut files are detected.
//!
//! A database that was unlinked or replaced accepts writes that no reader finds. One whose index (`-shm`) was, is written
//! by two processes that do not see each other. So the files are looked up by name before each write and after each
//! commit: two calls of `stat` each, about a microsecond a call, too little for another thread. The database is never opened
//! here: closing a descriptor of a file drops all locks of the process on it, SQLite's too (fcntl(2), advisory locks). SQLite
//! locks no part of the log; the index has a descriptor of its own kind ([`IndexFile`]).

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, with_suffix};
use super::error::{DuringOperation as _, config, log_with_gap, transient};
use super::file_key::{FileKey, LOOKING, file_key, stat};
use super::index_file::IndexFile;
use super::private_file::claim_private_file;
use super::wal_file::WalFile;
use super::wal_gap::{LogFrames, LogProgress};
use crate::log_lines::log_line;
use crate::store::StoreError;

/// The files that a connection has open.
#[derive(Debug, Clone)]
pub(super) struct FileIdentity {
    database: File,
    log: File,
    index: File,
    /// The database after symbolic links: its log is beside it.
    resolved: PathBuf,
    /// Log and index, for a connection that writes.
    frames: Option<Arc<LogFrames>>,
    /// True after the warning that the log has grown large.
    is_large: bool,
}

#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    id: Option<FileKey>,
    len: u64,
}

/// The result of comparing the files' lengths with those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lengths {
    /// No file is shorter than before.
    Grown,
    /// A file is shorter: by a checkpoint, by a VACUUM, or because somebody cut it.
    Cut,
}

impl FileIdentity {
    /// Reads the identity of the files. `resolved` is the database without symbolic links.
    pub(super) fn now(config: &Config, resolved: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            database: File::now(config.path.clone())?,
            log: File::now(with_suffix(resolved, "-wal"))?,
            index: File::now(with_suffix(resolved, "-shm"))?,
            resolved: resolved.to_owned(),
            frames: None,
            is_large: false,
        })
    }

    /// Opens log and index beside SQLite's own descriptors. Fails if others are at their paths by now.
    pub(super) fn with_frames(mut self) -> Result<Self, StoreError> {
        let log = WalFile::open(&self.log.path).during(LOOKING)?;
        let log_id = log.id();
        let frames = LogFrames::new(log, IndexFile::open(&self.index.path).during(LOOKING)?);
        if Some(log_id) != self.log.id || Some(frames.index_id().during(LOOKING)?) != self.index.id {
            return Err(replaced_error());
        }
        self.frames = Some(Arc::new(frames));
        Ok(self)
    }

    /// Returns the device and inode of the log.
    pub(super) fn log(&self) -> Option<FileKey> {
        self.log.id
    }

    /// The log that was at its path when the connection was opened.
    pub(super) fn log_file(&self) -> Option<&WalFile> {
        self.frames.as_deref().map(LogFrames::log)
    }

    /// Fails if the log lacks a frame that its index counts. Exact while the write lock is held.
    pub(super) fn check_frames(&self) -> Result<(), StoreError> {
        match &self.frames {
            Some(frames) if frames.look_for_gap().during(LOOKING)? => Err(log_with_gap(LOOKING)),
            _ => Ok(()),
        }
    }

    /// Returns the state of the log; `None` if it cannot be read, or has no index.
    pub(super) fn log_progress(&self) -> Option<LogProgress> {
        self.frames.as_ref().and_then(|frames| frames.progress().ok())
    }

    /// Returns true if the log lacked a frame when a commit was refused.
    pub(super) fn has_gap(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.has_gap())
    }

    /// Opens the log that is at its path now; `None` if none is.
    pub(super) fn log_at_path(&self) -> Option<WalFile> {
        WalFile::open(&self.log.path).ok()
    }

    /// The database without symbolic links.
    pub(super) fn resolved(&self) -> &Path {
        &self.resolved
    }

    /// Fails if a file was replaced or removed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for file in [&self.database, &self.log, &self.index] {
            if file_key(&file.path)? != file.id {
                return Err(replaced_error());
            }
        }
        Ok(())
    }

    /// Checks `-shm` and `-wal` before a write: with another `-shm`, two processes would write without seeing each
    /// other.
    pub(super) fn check_before(&mut self) -> Result<Lengths, StoreError> {
        self.index.look()?;
        self.log.look()
    }

    /// Checks all files after a commit: pages in a removed or replaced file are lost.
    pub(super) fn check_after(&mut self) -> Result<Lengths, StoreError> {
        self.index.look()?;
        let lengths = [self.database.look()?, self.log.look()?];
        self.warn_of_large_log();
        Ok(if lengths.contains(&Lengths::Cut) { Lengths::Cut } else { Lengths::Grown })
    }

    /// Reads the lengths of database and log. The next check compares with them.
    pub(super) fn lengths(&mut self) -> Result<(u64, u64), StoreError> {
        let (_, _) = (self.database.look()?, self.log.look()?);
        Ok((self.database.len, self.log.len))
    }

    /// Returns true if the database is still at PATH; false in doubt.
    pub(super) fn has_database(&self) -> bool {
        self.database.is_at_path()
    }

    /// Returns true if the database is at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.database.id.is_some() && matches!(file_key(path), Ok(found) if found == self.database.id)
    }

    /// Renames the log of a database that is no longer at PATH, and returns its new name.
    ///
    /// SQLite finds a log by its name, and would write the pages in it into the database that took the place of theirs.
    /// The file is kept: it may hold acknowledged events that nothing else holds. In doubt nothing is touched.
    pub(super) fn set_log_aside(&self) -> Option<PathBuf> {
        let log = &self.log;
        if log.id.is_none() || !file_key(&log.path).is_ok_and(|found| found == log.id) {
            return None;
        }
        // The rename replaces the empty file that was claimed, and no other.
        let aside = claim_private_file(&self.resolved, "-wal-of-replaced-");
        let renamed = aside.and_then(|aside| match std::fs::rename(&log.path, &aside) {
            Ok(()) => Ok(aside),
            Err(error) => {
                let _ = std::fs::remove_file(aside);
                Err(error)
            }
        });
        match renamed {
            // The index of a log is made anew from it; one that fits another log is worse than none.
            Ok(aside) => {
                let _ = std::fs::remove_file(&self.index.path);
                Some(aside)
            }
            Err(error) => {
                log_line(move || {
                    tracing::error!(%error, "the audit log was replaced, and its write-ahead log is in the way");
                });
                None
            }
        }
    }

    /// The database at PATH.
    pub(super) fn path(&self) -> &Path {
        &self.database.path
    }

    /// Returns the device and inode of the database.
    pub(super) fn database(&self) -> Option<FileKey> {
        self.database.id
    }

    /// Returns true if the index beside this path is the one that was there.
    pub(super) fn has_same_index(&self, database: &Path) -> bool {
        file_key(&with_suffix(database, "-shm")).is_ok_and(|found| found == self.index.id)
    }

    /// Returns a check that log and index are still at their paths, and that the log has the frames that the index counts.
    pub(super) fn watch(&self) -> impl FnMut() -> bool + Send + 'static {
        let (index, log, frames) = (self.index.clone(), self.log.clone(), self.frames.clone());
        let has_gap = move || frames.as_ref().is_some_and(|frames| frames.look_for_gap().unwrap_or(true));
        move || index.is_at_path() && log.is_at_path() && !has_gap()
    }

    /// Returns true if the log is still at its path; false in doubt.
    pub(super) fn has_log(&self) -> bool {
        self.log.is_at_path()
    }

    /// Returns true if the index is still at its path; false in doubt.
    pub(super) fn has_index(&self) -> bool {
        self.index.is_at_path()
    }

    /// Returns true if all files are still at their paths; false in doubt.
    pub(super) fn is_in_place(&self) -> bool {
        self.has_database() && self.has_log() && self.has_index()
    }

    /// Returns true if there was an index.
    pub(super) fn had_index(&self) -> bool {
        self.index.id.is_some()
    }

    /// Warns once of a large log: a long read keeps SQLite from starting the log over.
    fn warn_of_large_log(&mut self) {
        let bytes = self.log.len;
        if bytes > LARGE_LOG_BYTES && !self.is_large {
            self.is_large = true;
            log_line(move || {
                tracing::warn!(
                    bytes,
                    "the write-ahead log of the audit log has grown large: a program that reads the file has had a \
                 transaction open for long; end it, and the log shrinks"
                );
            });
        } else if bytes < LARGE_LOG_BYTES / 2 {
            self.is_large = false;
        }
    }
}

impl File {
    fn now(path: PathBuf) -> Result<Self, StoreError> {
        let metadata = stat(&path)?;
        let (id, len) = (metadata.as_ref().map(FileKey::of), metadata.map_or(0, |metadata| metadata.len()));
        Ok(Self { path, id, len })
    }

    fn is_at_path(&self) -> bool {
        self.id.is_some() && file_key(&self.path).is_ok_and(|found| found == self.id)
    }

    /// Compares the file with the last look.
    fn look(&mut self) -> Result<Lengths, StoreError> {
        let metadata = stat(&self.path)?;
        if metadata.as_ref().map(FileKey::of) != self.id {
            return Err(replaced_error());
        }
        let before = std::mem::replace(&mut self.len, metadata.map_or(0, |metadata| metadata.len()));
        Ok(if self.len < before { Lengths::Cut } else { Lengths::Grown })
    }
}

/// Rejects a database with several names: SQLite finds the write-ahead log by name, so a process that opens the
/// other name has another log, and the two overwrite each other's pages.
pub(super) fn check_only_name(database: &Path) -> Result<(), StoreError> {
    match stat(database)?.map_or(1, |metadata| links(&metadata)) {
        2.. => Err(config(format!(
            "{} has another name too (a hard link), and a process that opens the file by that name loses events: find it \
             with `find / -xdev -samefile {0}` and remove it, or copy the file and its -wal to a new folder",
            database.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn links(_metadata: &Metadata) -> u64 {
    1
}

pub(super) fn replaced_error() -> StoreError {
    transient("write").with_hint("the log file was removed or replaced under the writer")
}

/// The error while connections of this process have a log open that is no longer at its path.
pub(super) fn removed_log_error() -> StoreError {
    transient("opening the file again").with_hint(
        "its write-ahead log (-wal) was removed, and another connection of this process still has the removed one open: \
         end the reads that go on, close the pools that are open on the file, or start the process again",
    )
}

/// Twice what SQLite's log is cut back to: a reader keeps it from being used again.
pub(super) const LARGE_LOG_BYTES: u64 = 128 * 1024 * 1024;
