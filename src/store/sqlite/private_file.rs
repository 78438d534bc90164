//! Files that only their owner may read.

use std::path::Path;

use super::error::{DuringOperation as _, OPENING};
use crate::store::StoreError;

/// Creates an empty file of mode 0600: a log says who did what. SQLite gives `-wal` and `-shm` the mode of the database, and
/// would create it for everybody. An error is left to SQLite, which meets and names it.
pub(super) fn create_private_file(resolved: &Path) {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(resolved));
}

/// Syncs the folder of a new file: without it, a crash may lose the name, and with it the file.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    if cfg!(unix) {
        std::fs::File::open(directory).and_then(|directory| directory.sync_all()).during(OPENING)?;
    }
    Ok(())
}
