//! The identity of the files at PATH: replaced, removed and cut files are detected.
//!
//! A database that was unlinked or replaced accepts writes that no reader finds. One whose index (`-shm`) was, is written
//! by two processes that do not see each other. So the files are looked up by name before each write and after each
//! commit: two calls of `stat` each, about a microsecond a call, too little for another thread. The files are never opened
//! here: closing a descriptor of a file drops all locks of the process on it, SQLite's too (fcntl(2), advisory locks).

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::config::{Config, with_suffix};
use super::error::{DuringOperation as _, config, transient};
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
    /// True after the warning that the log has grown large.
    is_large: bool,
}

#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    id: Option<FileId>,
    len: u64,
}

/// The device and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

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
            is_large: false,
        })
    }

    /// Fails if a file was replaced or removed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for file in [&self.database, &self.log, &self.index] {
            if file_id(&file.path)? != file.id {
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
        self.is_at(&self.database.path)
    }

    /// Returns true if the database is at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.database.id.is_some() && matches!(file_id(path), Ok(found) if found == self.database.id)
    }

    /// Renames the log of a database that is no longer at PATH, and returns its new name.
    ///
    /// SQLite finds a log by its name, and would write the pages in it into the database that took the place of theirs.
    /// The file is kept: it may hold acknowledged events that nothing else holds. In doubt nothing is touched.
    pub(super) fn set_log_aside(&self) -> Option<PathBuf> {
        let log = &self.log;
        if log.id.is_none() || !file_id(&log.path).is_ok_and(|found| found == log.id) {
            return None;
        }
        let aside = with_suffix(&self.resolved, &format!("-wal-of-replaced-{:016x}", fastrand::u64(..)));
        match std::fs::rename(&log.path, &aside) {
            // The index of a log is made anew from it; one that fits another log is worse than none.
            Ok(()) => {
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
    pub(super) fn database(&self) -> Option<FileId> {
        self.database.id
    }

    /// Returns true if the index beside this path is the one that was there.
    pub(super) fn has_same_index(&self, database: &Path) -> bool {
        file_id(&with_suffix(database, "-shm")).is_ok_and(|found| found == self.index.id)
    }

    /// Returns a check that the index is still at its path.
    pub(super) fn index_watch(&self) -> impl FnMut() -> bool + Send + 'static {
        let File { path, id, .. } = self.index.clone();
        move || file_id(&path).is_ok_and(|found| found == id)
    }

    /// Returns true if the database is at PATH and its index is not.
    pub(super) fn has_lost_index(&self) -> bool {
        self.has_database() && !self.index_watch()()
    }

    /// Returns true if there was an index.
    pub(super) fn has_index(&self) -> bool {
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
        let (id, len) = (metadata.as_ref().map(FileId::of), metadata.map_or(0, |metadata| metadata.len()));
        Ok(Self { path, id, len })
    }

    /// Compares the file with the last look.
    fn look(&mut self) -> Result<Lengths, StoreError> {
        let metadata = stat(&self.path)?;
        if metadata.as_ref().map(FileId::of) != self.id {
            return Err(replaced_error());
        }
        let before = std::mem::replace(&mut self.len, metadata.map_or(0, |metadata| metadata.len()));
        Ok(if self.len < before { Lengths::Cut } else { Lengths::Grown })
    }
}

/// Returns the device and inode of the file of this name, or `None` if there is none.
pub(super) fn file_id(path: &Path) -> Result<Option<FileId>, StoreError> {
    Ok(stat(path)?.as_ref().map(FileId::of))
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

/// The length of the file of this name; 0 if there is none.
pub(super) fn length(path: &Path) -> Result<u64, StoreError> {
    Ok(stat(path)?.map_or(0, |metadata| metadata.len()))
}

fn stat(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error).during("looking at the file"),
    }
}

pub(super) fn replaced_error() -> StoreError {
    transient("write").with_hint("the log file was removed or replaced under the writer")
}

fn is_not_found(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

impl FileId {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(metadata.dev(), metadata.ino())
    }

    /// Elsewhere an open file cannot be removed, and its time of creation is enough.
    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let created = metadata.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Self(0, created.map_or(0, |since| since.as_micros() as u64))
    }
}

/// Twice what SQLite's log is cut back to: a reader keeps it from being used again.
pub(super) const LARGE_LOG_BYTES: u64 = 128 * 1024 * 1024;
