//! The largest file that this process may write (`ulimit -f`, `LimitFSIZE=`).
//!
//! A write beyond it raises SIGXFSZ, which ends a process that does not ignore the signal. So the limit is compared first.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Returns the largest length of a file, if there is a limit.
pub(super) fn size_limit() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// Rejects a file of this length if it is above the limit.
pub(super) fn check_size(len: u64) -> io::Result<()> {
    match size_limit() {
        Some(limit) if len > limit => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}
