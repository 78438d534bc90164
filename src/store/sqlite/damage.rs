//! Damage: a file in which it was seen is not written to until another file is at PATH or the process restarts.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::error::corrupt;
use super::file_id::{FileId, file_id};
use crate::store::{StoreError, StoreErrorKind};

/// The first damage that a connection of the store met.
#[derive(Debug, Default)]
pub(super) struct Damage(Mutex<Option<Seen>>);

#[derive(Debug)]
struct Seen {
    file: FileId,
    /// The error that reported it.
    what: String,
}

impl Damage {
    /// Records the damage that a result reports of the file at PATH.
    pub(super) fn note<T>(&self, path: &Path, result: &Result<T, StoreError>) {
        let Err(error) = result else { return };
        if error.kind() != StoreErrorKind::Corrupt {
            return;
        }
        if let Ok(Some(file)) = file_id(path) {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get_or_insert_with(|| Seen { file, what: format!("{}{cause}", error.doing()) });
        }
    }

    /// Fails while the damaged file is at PATH.
    pub(super) fn check(&self, path: &Path, doing: &'static str) -> Result<(), StoreError> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seen { file, what }) = &*seen else { return Ok(()) };
        match file_id(path) {
            Ok(now) if now != Some(*file) => {
                *seen = None;
                Ok(())
            }
            _ => Err(corrupt(doing, format!("damage was seen ({what})"))),
        }
    }
}
