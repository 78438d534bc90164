//! The identity of a file, and the looks at files by their names.

use std::fs::Metadata;
use std::path::Path;

use super::error::DuringOperation as _;
use crate::store::StoreError;

/// The device and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileKey(u64, u64);

impl FileKey {
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

/// Returns the device and inode of the file of this name, or `None` if there is none.
pub(super) fn file_key(path: &Path) -> Result<Option<FileKey>, StoreError> {
    Ok(stat(path)?.as_ref().map(FileKey::of))
}

/// The length of the file of this name; 0 if there is none.
pub(super) fn length(path: &Path) -> Result<u64, StoreError> {
    Ok(stat(path)?.map_or(0, |metadata| metadata.len()))
}

pub(super) fn stat(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error).during(LOOKING),
    }
}

fn is_not_found(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

pub(super) const LOOKING: &str = "looking at the file";
