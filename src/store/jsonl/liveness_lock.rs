//! A writer's lock: a locked file by which others see that it lives.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::file_layout::{FileKey, Place, private, stat, sync_folder};
use super::line::WriterId;
use crate::random::random;
use crate::store::files::LockedFile;

/// The lock of a writer that has written a `started` event.
#[derive(Debug)]
pub(super) struct LivenessLock {
    pub(super) id: WriterId,
    held: Option<(PathBuf, LockedFile)>,
}

impl LivenessLock {
    /// A writer that is not registered yet. Its id is not 0.
    pub(super) fn new() -> Self {
        Self { id: WriterId(random().max(1)), held: None }
    }

    /// Takes the lock, and takes it again if its file was removed. It must be held before a line names the writer.
    pub(super) fn register(&mut self, place: &Place) -> io::Result<()> {
        let path = path_of(place, self.id);
        if let Some((locked, file)) = &self.held
            && *locked == path
            && is_at(file, &path)?
        {
            return Ok(());
        }
        self.held = None;
        let file = private().write(true).create(true).truncate(false).open(&path)?;
        place.give_to_owner(&file);
        file.try_lock()?;
        let file = LockedFile::new(file);
        if !is_at(&file, &path)? {
            return Err(io::Error::other("the writer's lock was removed while it was taken"));
        }
        // Without its name after a crash, the writer would be dead, as it then is.
        sync_folder(&place.state)?;
        self.held = Some((path, file));
        Ok(())
    }

    /// Releases the lock, and deletes its file unless others have to close events of this writer.
    pub(super) fn release(&mut self, has_open_events: bool) {
        if let Some((path, file)) = self.held.take() {
            if !has_open_events {
                let _ = fs::remove_file(path);
            }
            drop(file);
        }
    }
}

/// The locks of dead writers, held so that no other process closes their events too.
#[derive(Debug, Default)]
pub(super) struct DeadWriters {
    locks: Vec<(PathBuf, LockedFile)>,
    living: Vec<WriterId>,
}

impl DeadWriters {
    /// Looks at each writer's lock.
    pub(super) fn find(place: &Place) -> io::Result<Self> {
        let mut found = Self::default();
        for entry in fs::read_dir(&place.state)? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_prefix("writer-")) else { continue };
            let Ok(id) = u64::from_str_radix(id, 16) else { continue };
            let path = place.state.join(&name);
            let file = match File::options().write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => {
                    found.living.push(WriterId(id));
                    continue;
                }
            };
            match file.try_lock() {
                Ok(()) => found.locks.push((path, LockedFile::new(file))),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => found.living.push(WriterId(id)),
            }
        }
        Ok(found)
    }

    /// Returns true unless the writer lives. One whose lock is gone is dead.
    pub(super) fn contains(&self, id: WriterId) -> bool {
        !self.living.contains(&id)
    }

    /// Deletes the locks. Call it after the events that close theirs are durable.
    pub(super) fn remove(self) {
        for (path, file) in self.locks {
            let _ = fs::remove_file(path);
            drop(file);
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let named = stat(path)?.map(|metadata| FileKey::of(&metadata));
    Ok(named == Some(FileKey::of(&file.metadata()?)))
}

fn path_of(place: &Place, id: WriterId) -> PathBuf {
    place.state.join(format!("writer-{:016x}", id.0))
}
