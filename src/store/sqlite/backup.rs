//! Backups: a copy of the log in one file, made while the log is written.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::config::{Config, with_suffix};
use super::error::{DuringOperation as _, config, corrupt, permanent};
use super::file_key::{file_key, length};
use super::private_file::claim_private_file;
use super::store::SqliteStore;
use crate::query::Filter;
use crate::store::{Reader as _, StoreError};

/// A copy that [`SqliteStore::backup`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The number of events in the copy.
    pub events: u64,
    /// The size of the copy in bytes.
    pub bytes: u64,
}

impl SqliteStore {
    /// Copies the log into the file `target`: every event that was acknowledged before the call, and perhaps some that
    /// come meanwhile. Others go on writing; the write-ahead log grows until the copy is made. The copy is one file,
    /// without free pages, on the disk when this is ready, read through once, and readable for its owner alone.
    ///
    /// It is itself a log: open it, or put it in the place of a log that is lost. In a file that an application has
    /// beside the log's tables, the application's tables are copied too.
    ///
    /// ```
    /// use tower_audit::store::OpenOptions;
    /// use tower_audit::store::sqlite::SqliteStore;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("audit.db");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let store = SqliteStore::open(&format!("sqlite:{}", path.display()), OpenOptions::default()).await?;
    /// let backup = store.backup(&folder.path().join("copy.db")).await?;
    /// assert_eq!(backup.events, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a file is at `target`, if another database's `-wal` or `-journal` lies beside it, or if the log cannot be read or the copy
    /// not be written.
    ///
    /// # Cancel safety
    /// Dropped, it leaves `target` as it was. SQLite may go on with a file of another name beside it.
    pub async fn backup(&self, target: &Path) -> Result<Backup, StoreError> {
        self.copy(target, false).await
    }

    /// Copies the log as [`backup`](Self::backup) does, and replaces the file at `target` once the copy is complete.
    ///
    /// # Errors
    /// Those of [`backup`](Self::backup), but for a file at `target`; and if that is the log itself or no regular file. What was
    /// at `target` is then as it was.
    ///
    /// # Cancel safety
    /// That of [`backup`](Self::backup).
    pub async fn backup_over(&self, target: &Path) -> Result<Backup, StoreError> {
        self.copy(target, true).await
    }

    async fn copy(&self, target: &Path, replace: bool) -> Result<Backup, StoreError> {
        let target = std::path::absolute(target).during(DOING)?;
        self.check_target(&target, replace)?;
        let part = Part(claim_private_file(&target, ".part-").during(DOING)?);
        let name = part.0.to_str().ok_or_else(|| config("the path of the copy is no text: choose another"))?;
        let before = self.count(&Filter::default()).await?;
        self.readers.copy_into(&self.config, name).await?;
        let events = read_through(&self.config, &part.0).await?;
        let after = self.count(&Filter::default()).await?;
        // A purge may have removed some meanwhile.
        if events < before.min(after) {
            return Err(permanent(DOING).with_hint(format!("the copy has {events} events of {before}: try again")));
        }
        let bytes = length(&part.0)?;
        let named = tokio::task::spawn_blocking(move || part.become_file(&target, replace)).await;
        named.map_err(|error| permanent(DOING).with_source(error))??;
        Ok(Backup { events, bytes })
    }

    fn check_target(&self, target: &Path, replace: bool) -> Result<(), StoreError> {
        let shown = target.display();
        let found = file_key(target)?;
        let database = self.config.resolved().during(DOING)?;
        for own in [database.clone(), with_suffix(&database, "-wal"), with_suffix(&database, "-shm")] {
            if own == target || (found.is_some() && file_key(&own)? == found) {
                return Err(config(format!("{shown} is a file of the log itself: name another for the copy")));
            }
        }
        check_replaceable(target)?;
        if found.is_some() && !replace {
            return Err(exists(target));
        }
        for (suffix, kind) in [("-wal", "write-ahead log"), ("-journal", "rollback journal")] {
            if length(&with_suffix(target, suffix))? > 0 {
                return Err(config(format!(
                    "beside {shown} is the {kind} ({suffix}) of another database, which SQLite would take for the copy's: \
                     name another file"
                )));
            }
        }
        Ok(())
    }
}

/// Reads the whole copy and returns the number of its events.
async fn read_through(config: &Config, copy: &Path) -> Result<u64, StoreError> {
    let config = Config { path: copy.to_owned(), create_if_missing: false, ..config.clone() };
    let copy = SqliteStore::open_in(config.clone()).await?;
    let verdict = copy.readers.check_pages(&config).await?;
    if verdict != "ok" {
        return Err(corrupt(DOING, verdict));
    }
    let events = copy.count(&Filter::default()).await?;
    copy.readers.close().await;
    Ok(events)
}

/// An incomplete copy. Deleted when dropped.
struct Part(PathBuf);

impl Part {
    /// Renames the copy to its final name and syncs file and folder.
    fn become_file(self, target: &Path, replace: bool) -> Result<(), StoreError> {
        File::open(&self.0).and_then(|file| file.sync_all()).during(DOING)?;
        if replace {
            check_replaceable(target)?;
            std::fs::rename(&self.0, target).during(DOING)?;
        } else if let Err(error) = std::fs::hard_link(&self.0, target) {
            // Not every file system has links.
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                return Err(exists(target));
            }
            match File::create_new(target) {
                Ok(_) => std::fs::rename(&self.0, target).during(DOING)?,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists(target)),
                Err(error) => return Err(error).during(DOING),
            }
        }
        if let Some(folder) = target.parent().filter(|_| cfg!(unix)) {
            File::open(folder).and_then(|folder| folder.sync_all()).during(DOING)?;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Rejects a target that is there and no regular file: a rename would replace a device or a socket by the copy.
fn check_replaceable(target: &Path) -> Result<(), StoreError> {
    let shown = target.display();
    match std::fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_dir() => Err(config(format!("{shown} is a directory: name a file in it"))),
        Ok(metadata) if metadata.is_symlink() => {
            Err(config(format!("{shown} is a symbolic link: name the file that it leads to")))
        }
        Ok(metadata) if !metadata.is_file() => {
            Err(config(format!("{shown} is a device, a pipe or a socket, and stays as it is: name a file")))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).during(DOING),
    }
}

fn exists(target: &Path) -> StoreError {
    config(format!("{} exists: name another file, or say that it is to be replaced", target.display()))
}

const DOING: &str = "backup";
