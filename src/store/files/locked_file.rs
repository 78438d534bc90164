//! A locked file (`flock`).

use std::fs::File;

/// A file whose lock this process holds. The lock is released when it is dropped, also if a child that was forked without
/// `exec` has the file open, too.
#[derive(Debug)]
pub(crate) struct LockedFile(File);

impl LockedFile {
    /// Takes over a file that was locked.
    pub(crate) fn new(locked: File) -> Self {
        Self(locked)
    }
}

impl std::ops::Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing it releases the lock only if no other process has it open.
        let _ = self.0.unlock();
    }
}
