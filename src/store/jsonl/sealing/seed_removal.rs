//! The seeds of removed events.
//!
//! Events and seeds are in different files, so a process may die between the two:
//!
//! - t0: the leaves of the events are written to `removing`, and are durable there.
//! - t1: the events are removed.
//! - t2: their seeds are overwritten, and `removing` is deleted.
//!
//! A process that finds `removing`, with nobody at work, looks which of its events are gone, and overwrites their seeds.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::seal_files::SealFiles;
use crate::event::EventId;
use crate::query::Cursor;
use crate::store::StoreError;
use crate::store::files::{LockedFile, stat, sync_folder};
use crate::store::jsonl::error::{DuringOperation as _, transient};
use crate::store::jsonl::shared::Shared;

impl Shared {
    /// Removes the events at these positions, and of a sealed log their seeds. Returns the number of events that were there.
    pub(in crate::store::jsonl) fn remove_sealed(&self, positions: &[Cursor]) -> Result<u64, StoreError> {
        let files = self.seal_files();
        if !files.exist().during(DOING)? {
            return Ok(self.remove(positions)?.len() as u64);
        }
        let _lock = self.lock_removing(&files)?;
        self.finish_removal(&files)?;
        let ids: Vec<EventId> = positions.iter().map(|position| position.event_id).collect();
        let leaves: Vec<(EventId, u64)> = self.leaf_indexes(&ids).during(DOING)?.into_iter().collect();
        write_list(&files, &leaves).during(DOING)?;
        let removed = self.remove(positions)?;
        blank(&files, &leaves, &removed).during(DOING)?;
        Ok(removed.len() as u64)
    }

    /// Overwrites the seeds that a process has left that died while it removed events.
    pub(super) fn finish_removal_of_dead(&self) -> Result<(), StoreError> {
        let files = self.seal_files();
        if stat(&files.path(LIST)).during(DOING)?.is_none() {
            return Ok(());
        }
        match files.try_lock(LOCK).during(DOING)? {
            // It lives.
            None => Ok(()),
            Some(_lock) => self.finish_removal(&files),
        }
    }

    fn lock_removing(&self, files: &SealFiles) -> Result<LockedFile, StoreError> {
        let deadline = std::time::Instant::now() + self.config.timeout;
        loop {
            if let Some(lock) = files.try_lock(LOCK).during(DOING)? {
                return Ok(lock);
            }
            if std::time::Instant::now() >= deadline {
                return Err(transient(DOING).with_hint("another process removes events of the log"));
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    fn finish_removal(&self, files: &SealFiles) -> Result<(), StoreError> {
        let text = match fs::read(files.path(LIST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text.during(DOING)?,
        };
        // Half a list was written before any event was removed.
        let leaves: Vec<(EventId, u64)> = serde_json::from_slice(&text).unwrap_or_default();
        let ids: Vec<EventId> = leaves.iter().map(|(id, _)| *id).collect();
        let there: HashSet<EventId> = self.ids_there(&ids)?;
        let gone: HashSet<EventId> = ids.into_iter().filter(|id| !there.contains(id)).collect();
        blank(files, &leaves, &gone).during(DOING)
    }
}

/// Writes the list, durably, before any event goes.
fn write_list(files: &SealFiles, leaves: &[(EventId, u64)]) -> io::Result<()> {
    let file = files.open_to_write(LIST)?;
    let text = serde_json::to_vec(leaves)?;
    file.set_len(0)?;
    file.write_all_at(&text, 0)?;
    file.sync_data()?;
    sync_folder(files.folder())
}

fn blank(files: &SealFiles, leaves: &[(EventId, u64)], gone: &HashSet<EventId>) -> io::Result<()> {
    let indexes: Vec<u64> = leaves.iter().filter(|(id, _)| gone.contains(id)).map(|(_, index)| *index).collect();
    if !indexes.is_empty() {
        files.blank_seeds(&indexes)?;
    }
    fs::remove_file(files.path(LIST))
}

const LIST: &str = "removing";
const LOCK: &str = "removing.lock";
const DOING: &str = "purge";
