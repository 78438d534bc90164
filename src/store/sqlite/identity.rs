//! Whether the files at PATH are still those that a connection has open.
//!
//! A database that was unlinked or replaced goes on accepting writes that nobody will ever find. So after each commit
//! the files are looked at by name: two calls of `stat`, about a microsecond each, which is why they are not moved to
//! another thread. The files are never opened here: closing any descriptor of a file drops all of the locks that the
//! process holds on it, SQLite's among them.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::config::{Config, beside};
use super::error::{Doing as _, transient};
use crate::store::StoreError;

/// The files that a connection has open.
#[derive(Debug)]
pub(super) struct Identity {
    files: [(PathBuf, Option<FileId>); 2],
    /// The database after symbolic links: its log is beside it.
    resolved: PathBuf,
}

/// What tells a file from another that takes its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl Identity {
    /// The files as they are now. `resolved` is the database after symbolic links.
    pub(super) fn now(config: &Config, resolved: &Path) -> Result<Self, StoreError> {
        let log = beside(resolved, "-wal");
        let files = [(file_id(&config.path)?, config.path.clone()), (file_id(&log)?, log)];
        Ok(Self { files: files.map(|(id, path)| (path, id)), resolved: resolved.to_owned() })
    }

    /// An error if one of the files is no longer the same.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, id) in &self.files {
            if file_id(path)? != *id {
                return Err(replaced());
            }
        }
        Ok(())
    }

    /// Whether the database, at least, is still the same. In doubt it is not.
    pub(super) fn has_database(&self) -> bool {
        let (path, id) = &self.files[0];
        matches!(file_id(path), Ok(found) if found == *id)
    }

    /// Moves the log of a database that is no longer at PATH out of the way of whatever is there now.
    ///
    /// SQLite finds a log by its name, and would write the pages in it into the database that took the place of theirs.
    /// The file is kept: it may hold acknowledged events that nothing else holds. In doubt nothing is touched.
    pub(super) fn set_log_aside(&self) {
        let (log, id) = &self.files[1];
        let is_ours = |path: &Path, id: Option<FileId>| id.is_some() && file_id(path).is_ok_and(|found| found == id);
        if !is_ours(log, *id) {
            return;
        }
        let aside = beside(&self.resolved, &format!("-wal-of-replaced-{:016x}", fastrand::u64(..)));
        match std::fs::rename(log, &aside) {
            // The index of a log is made anew from it; one that fits another log is worse than none.
            Ok(()) => {
                let _ = std::fs::remove_file(beside(&self.resolved, "-shm"));
                tracing::error!(
                    file = %aside.display(),
                    "the audit log was replaced under the writer: its last events are in this file"
                );
            }
            Err(error) => tracing::error!(%error, "the audit log was replaced, and its write-ahead log is in the way"),
        }
    }

    /// An error if the file may not be written, although a connection that opened it earlier still can.
    pub(super) fn check_writable(&self) -> Result<(), StoreError> {
        let metadata = std::fs::metadata(&self.files[0].0).doing("health")?;
        if metadata.permissions().readonly() {
            return Err(transient("health").with_remedy("the file is read-only"));
        }
        Ok(())
    }

    /// Which file the database is.
    pub(super) fn database(&self) -> Option<FileId> {
        self.files[0].1
    }
}

/// Which file has this name, if one has.
pub(super) fn file_id(path: &Path) -> Result<Option<FileId>, StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(FileId::of(&metadata))),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(error).doing("looking at the file"),
    }
}

pub(super) fn replaced() -> StoreError {
    transient("write").with_remedy("the log file was removed or replaced under the writer")
}

fn gone(error: &std::io::Error) -> bool {
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
