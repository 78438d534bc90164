//! Damage: a file in which it was seen is not written to until another file is at PATH or the process restarts.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::error::NAME;
use super::file_key::{FileKey, file_key};
use crate::store::{StoreError, StoreErrorKind};

/// The first damage that a connection of the store met.
#[derive(Debug, Default)]
pub(super) struct CorruptionLatch(Mutex<Option<Seen>>);

#[derive(Debug)]
struct Seen {
    file: FileKey,
    /// Holds the inode: another file at PATH has another. Never closed, because closing it drops SQLite's locks of the file.
    _open: ManuallyDrop<Option<File>>,
    /// The error that reported it, with its remedy.
    what: String,
}

impl CorruptionLatch {
    /// Records the damage that a result reports of the file at PATH.
    pub(super) fn note<T>(&self, path: &Path, result: &Result<T, StoreError>) {
        let Err(error) = result else { return };
        if error.kind() != StoreErrorKind::Corrupt {
            return;
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some() {
            return;
        }
        let open = ManuallyDrop::new(File::open(path).ok());
        let id = open.as_ref().and_then(|file| file.metadata().ok()).map(|metadata| FileKey::of(&metadata));
        if let Some(file) = id.or_else(|| file_key(path).ok().flatten()) {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            *seen = Some(Seen { file, _open: open, what: format!("{}{cause}): {}", error.doing(), error.remedy()) });
        }
    }

    /// Fails while the damaged file is at PATH.
    pub(super) fn check(&self, path: &Path, doing: &'static str) -> Result<(), StoreError> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seen { file, what, .. }) = &*seen else { return Ok(()) };
        match file_key(path) {
            Ok(now) if now != Some(*file) => {
                *seen = None;
                Ok(())
            }
            _ => {
                Err(StoreError::new(StoreErrorKind::Corrupt, NAME, doing).with_hint(format!("damage was seen ({what}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::corrupt;
    use super::*;

    /// A file system gives the number of a removed file to the next one.
    #[test]
    fn another_file_is_not_taken_for_the_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.db");
        for round in 0..20 {
            std::fs::write(&path, "damaged").unwrap();
            let damage = CorruptionLatch::default();
            damage.note(&path, &Err::<(), _>(corrupt("append", "test")));
            damage.check(&path, "append").expect_err("the damaged file is there");
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "whole").unwrap();
            damage.check(&path, "append").unwrap_or_else(|error| panic!("{round}: {error}"));
        }
    }
}
