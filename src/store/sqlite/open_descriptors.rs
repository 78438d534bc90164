//! The files that this process has open, from Linux's `/proc/self/fd` (proc_pid_fd(5)).
//!
//! Two connections of a process to one database share its index (`-shm`), whatever lies at its path by now. So an index that
//! is at its path is not always the one in use.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file_key::FileKey;

/// Returns true if this process has a removed file of this name open, and not the one that is there now. Returns false where
/// the system does not say.
pub(super) fn has_removed_only(path: &Path) -> bool {
    let mut removed = OsString::from(path);
    removed.push(" (deleted)");
    let mut has_removed = false;
    for (_, name) in descriptors() {
        if name == path {
            return false;
        }
        has_removed |= name.as_os_str() == removed;
    }
    has_removed
}

/// Counts the descriptors of the file in this process. Returns 0 where the system does not say.
pub(super) fn count_open(file: FileKey) -> usize {
    let files = descriptors().filter(|(_, name)| name.is_absolute());
    files.filter(|(link, _)| std::fs::metadata(link).is_ok_and(|metadata| FileKey::of(&metadata) == file)).count()
}

/// Lists the open descriptors: the link of each, and the name that it had or has.
fn descriptors() -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), std::fs::read_link(entry.path()).ok()?)))
}
