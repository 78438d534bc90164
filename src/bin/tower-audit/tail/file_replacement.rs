//! Detects that a store's file was replaced.

use std::path::PathBuf;

/// The file of a store that is one.
#[derive(Debug)]
pub(super) struct FileChange {
    path: Option<PathBuf>,
    file: Option<(u64, u64)>,
}

impl FileChange {
    /// Remembers which file is there now.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let mut watch = Self { path, file: None };
        watch.file = watch.read_id();
        watch
    }

    /// Returns true if another file took its place since the last call. A missing file does not count.
    pub(super) fn was_replaced(&mut self) -> bool {
        let now = self.read_id();
        let replaced = now.is_some() && self.file.is_some() && now != self.file;
        self.file = now.or(self.file);
        replaced
    }

    #[cfg(unix)]
    fn read_id(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(self.path.as_ref()?).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Files have no names of their own here.
    #[cfg(not(unix))]
    fn read_id(&self) -> Option<(u64, u64)> {
        None
    }
}
