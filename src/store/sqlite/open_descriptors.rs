//! The files that this process has open, from Linux's `/proc/self/fd` (proc_pid_fd(5)).
//!
//! Two connections of a process to one database share its index (`-shm`), whatever lies at its path by now. So an index that
//! is at its path is not always the one in use.

use std::ffi::OsString;
use std::path::Path;

/// Returns true if this process has a removed file of this name open, and not the one that is there now. Returns false where
/// the system does not say.
pub(super) fn has_removed_only(path: &Path) -> bool {
    let mut removed = OsString::from(path);
    removed.push(" (deleted)");
    let mut has_removed = false;
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        // The link of a file names it, and is not followed: other descriptors may lead to a file system that hangs.
        let Ok(name) = std::fs::read_link(entry.path()) else { continue };
        if name == path {
            return false;
        }
        has_removed |= name.as_os_str() == removed;
    }
    has_removed
}
