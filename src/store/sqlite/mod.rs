//! `sqlite:PATH`: the embedded default.

use crate::store::{OpenOptions, StoreError, StoreErrorKind};

/// A placeholder until the store lands.
#[derive(Debug)]
pub struct SqliteStore {
    inner: crate::store::MemoryStore,
}

impl SqliteStore {
    /// Opens the file.
    ///
    /// # Errors
    /// Always, for now.
    pub async fn open(_path: &str, _options: OpenOptions) -> Result<Self, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unsupported, "sqlite", "opening"))
    }
}
