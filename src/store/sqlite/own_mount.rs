//! A database that is a mount of its own.
//!
//! SQLite finds the write-ahead log by the database's name. A database that is a mount of its own, as `docker run -v
//! audit.db:/data/audit.db` makes it, has its `-wal` in the container's own folder: the events in it vanish with the
//! container, and a process outside does not see them.

use std::path::Path;

use super::error::config;
use crate::store::StoreError;
use crate::store::mount::Mount;

/// Rejects a database that is a mount of its own.
pub(super) fn check_not_mounted_alone(database: &Path) -> Result<(), StoreError> {
    match Mount::of(database) {
        Some(mount) if mount.point() == database => Err(config(format!(
            "{} is mounted alone, so that its write-ahead log (-wal) lies elsewhere and its events are lost: mount the \
             folder that it is in, not the file",
            database.display()
        ))),
        _ => Ok(()),
    }
}
