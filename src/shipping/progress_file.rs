//! The progress of a source in a file, locked by the one that ships.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::{Timestamp, hex};
use crate::random::random;
use crate::store::files::{FileKey, LockedFile, private, stat, sync_folder};
use crate::store::{StoreError, StoreErrorKind};

/// A file with the progress of a source, while this process holds its lock.
///
/// Several instances with one file take over from each other: the second waits for the lock, which the kernel releases when the first dies.
#[derive(Debug)]
pub struct ShipProgress {
    path: PathBuf,
    route: String,
    _lock: LockedFile,
    until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    /// A digest of source and target, so that the file of another pair is not taken.
    route: String,
    until: Timestamp,
}

impl ShipProgress {
    /// Waits for the lock of the file, and reads it. `route` names source and target, without passwords; the file keeps a digest of it.
    ///
    /// # Errors
    /// If the file cannot be read or made, or is that of another route.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no lock is held.
    pub async fn lock(path: impl Into<PathBuf>, route: &str) -> Result<Self, StoreError> {
        let path = path.into();
        loop {
            if let Some(progress) = Self::try_lock(&path, route)? {
                return Ok(progress);
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    /// Takes the lock of the file, and reads it. Returns none if another instance holds the lock.
    ///
    /// # Errors
    /// Those of [`lock`](Self::lock).
    pub fn try_lock(path: impl AsRef<Path>, route: &str) -> Result<Option<Self>, StoreError> {
        let path = std::path::absolute(path.as_ref()).map_err(failed)?;
        let Some(lock) = locked(&path).map_err(failed)? else { return Ok(None) };
        let digest = Sha256::digest(route.as_bytes());
        let route = hex::encode(&digest, &mut [0; 64]).to_owned();
        let until = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            text => {
                let saved: Saved =
                    serde_json::from_slice(&text.map_err(failed)?).map_err(|error| failed(error.into()))?;
                if saved.route != route {
                    return Err(error_of(StoreErrorKind::Config).with_hint(
                        "the progress file is that of another source or target: name another file, or move it away to begin anew",
                    ));
                }
                Some(saved.until)
            }
        };
        Ok(Some(Self { path, route, _lock: lock, until }))
    }

    /// Returns the time up to which everything is shipped; none at the beginning.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Goes back, or forward, to a moment: events from it on are shipped again. Nothing is written before the next progress.
    pub fn rewind(&mut self, until: Timestamp) {
        self.until = Some(until);
    }

    /// Keeps the progress, durably.
    pub(super) fn save(&mut self, until: Timestamp) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let temporary = self.path.with_extension(format!("{:016x}.tmp", random()));
        let write = || {
            let mut file = private().write(true).create_new(true).open(&temporary)?;
            file.write_all(&serde_json::to_vec(&Saved { route: self.route.clone(), until })?)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            sync_folder(folder)
        };
        if let Err(error) = write() {
            // A file with a temporary name is read by nobody.
            let _ = fs::remove_file(&temporary);
            return Err(failed(error));
        }
        self.until = Some(until);
        Ok(())
    }
}

/// The lock is a file beside: the file itself is replaced.
fn locked(path: &Path) -> io::Result<Option<LockedFile>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let file: File = private().write(true).create(true).truncate(false).open(&lock)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let file = LockedFile::new(file);
    let named = stat(&lock)?.map(|metadata| FileKey::of(&metadata));
    Ok((named == Some(FileKey::of(&file.metadata()?))).then_some(file))
}

fn failed(error: io::Error) -> StoreError {
    let kind = match error.kind() {
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::InvalidData => {
            StoreErrorKind::Config
        }
        ErrorKind::PermissionDenied => StoreErrorKind::Denied,
        _ => StoreErrorKind::Transient,
    };
    error_of(kind).with_hint("the progress file cannot be used").with_source(error)
}

fn error_of(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "ship", "keeping the progress")
}

const LOCK_PAUSE: Duration = Duration::from_millis(500);
