//! The database as a file: where it lies, and who may write it.

use std::path::{Path, PathBuf};

use super::config::{Config, with_suffix};
use super::error::{DuringOperation as _, OPENING, config as refused, transient};
use super::file_identity::check_only_name;
use super::own_mount::check_not_mounted_alone;
use crate::store::StoreError;

/// Resolves the path of the database. Fails unless a regular file is there or can be created there.
pub(super) fn resolve_database(config: &Config) -> Result<PathBuf, StoreError> {
    let shown = config.path.display();
    match std::fs::metadata(&config.path) {
        Ok(metadata) if !metadata.is_file() => Err(refused(format!("{shown} is no regular file"))),
        Ok(_) => config.resolved().during(OPENING),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let resolved = config.resolved().map_err(|error| {
                refused(format!("the directory of {shown} does not exist: create it")).with_source(error)
            })?;
            if config.create_if_missing {
                return Ok(resolved);
            }
            Err(refused(format!("{shown} does not exist: check the path; an app makes the file when it starts, and so does `tower-audit migrate`"))
                .with_source(error))
        }
        Err(error) => Err(error).during(OPENING),
    }
}

/// Rejects a database whose write-ahead log other processes would look for in another place.
pub(super) fn check_location(database: &Path) -> Result<(), StoreError> {
    check_only_name(database)?;
    check_not_mounted_alone(database)
}

/// Fails if the file is read-only: SQLite would open it, and create `-wal` and `-shm` that are read-only too. Such
/// files get the mode of the database again.
pub(super) fn check_modes(database: &Path) -> Result<(), StoreError> {
    let Ok(metadata) = std::fs::metadata(database) else { return Ok(()) };
    let permissions = metadata.permissions();
    if permissions.readonly() {
        return Err(transient(OPENING).with_hint("the file is read-only: give the service the right to write it"));
    }
    for suffix in ["-wal", "-shm"] {
        let other = with_suffix(database, suffix);
        if std::fs::metadata(&other).is_ok_and(|metadata| metadata.permissions().readonly()) {
            // The file of another user stays as it is; SQLite reports it.
            let _ = std::fs::set_permissions(&other, permissions.clone());
        }
    }
    Ok(())
}
