//! Removal of events from files: by age, and by their positions.

use std::collections::{HashMap, HashSet};

use super::append_lock::Held;
use super::error::{DuringOperation as _, is_of_one_file};
use super::file_index::FileIndex;
use super::file_layout::{FileKey, Kind, stat};
use super::line::Head;
use super::line_erasure::overwrite;
use super::log_file::{LogFile, Stamp, remove_compressed_copy};
use super::maintenance_lock::MaintenanceLock;
use super::rewriting::Rewriting;
use super::shared::Shared;
use crate::event::{EventId, Timestamp};
use crate::query::Cursor;
use crate::store::{PurgeOutcome, StoreError};

impl Shared {
    /// Removes events that are older: a rotated file that is wholly old at once, else about `at_most` of one file.
    pub(super) fn purge(&self, before: Timestamp, at_most: usize) -> Result<PurgeOutcome, StoreError> {
        let _housekeeping = self.housekeeping()?;
        let mut failed = HashSet::new();
        let mut deleted = 0;
        while let Some(file) = self.oldest_file(before, &failed)? {
            let key = file.stamp.key;
            match self.purge_file(file, before, at_most.max(1)) {
                // It stays until all of it is old, and keeps no other from being purged.
                Err(error) if is_damage_of(&error) => {
                    failed.insert(key);
                }
                purged => {
                    deleted = purged?;
                    break;
                }
            }
        }
        let has_more = self.oldest_file(before, &failed)?.is_some();
        Ok(PurgeOutcome { deleted, has_more })
    }

    fn purge_file(&self, file: LogFile, before: Timestamp, at_most: usize) -> Result<u64, StoreError> {
        let is_old = |head: &Head| head.created_at < before;
        let is_wholly_old = file.index.last_at().is_some_and(|last| last < before);
        if file.kind != Kind::Active && is_wholly_old && !self.ends_open_events(&file) {
            return self.remove_file(&file);
        }
        if !file.is_plain() {
            return Ok(self.rewrite(file, &is_old)?.len() as u64);
        }
        let select = |index: &FileIndex| {
            let blocks = index.blocks.iter().enumerate();
            blocks.filter(|(_, block)| block.events > 0 && block.first_at < before).map(|(n, _)| n).collect()
        };
        let removed = self.overwrite(file.stamp.key, &select, at_most, &is_old)?.len() as u64;
        Ok(removed)
    }

    /// Returns true if the file has the end of an event that another file has as `started`: without the file, that one would
    /// be open again.
    fn ends_open_events(&self, file: &LogFile) -> bool {
        let catalogue = self.lock_catalogue();
        let mut others = catalogue.files().filter(|other| other.stamp.key != file.stamp.key);
        others.any(|other| other.index.open.keys().any(|id| file.index.ended.contains(id)))
    }

    /// Removes the events at these positions, and returns the ids of those that were there.
    pub(super) fn remove(&self, positions: &[Cursor]) -> Result<HashSet<EventId>, StoreError> {
        let _housekeeping = self.housekeeping()?;
        let doomed: HashMap<EventId, Timestamp> =
            positions.iter().map(|position| (position.event_id, position.created_at)).collect();
        let is_doomed = |head: &Head| doomed.get(&head.event_id) == Some(&head.created_at);
        let select = |index: &FileIndex| {
            let mut blocks: Vec<usize> = doomed.keys().flat_map(|id| index.blocks_with(*id)).collect();
            blocks.sort_unstable();
            blocks.dedup();
            blocks
        };
        let mut removed = HashSet::new();
        for file in self.files()? {
            if select(&file.index).is_empty() {
                continue;
            }
            removed.extend(if file.is_plain() {
                self.overwrite(file.stamp.key, &select, usize::MAX, &is_doomed)?
            } else if self.has_one(&file, &select(&file.index), &is_doomed)? {
                self.rewrite(file, &is_doomed)?
            } else {
                HashSet::new()
            });
        }
        Ok(removed)
    }

    /// Gives the room of removed events back to the disk.
    pub(super) fn tidy(&self) -> Result<(), StoreError> {
        let _housekeeping = self.housekeeping()?;
        for file in self.files()?.into_iter().filter(|file| file.kind != Kind::Active) {
            let is_full_of_blanks = file.is_plain() && file.index.blank_bytes * 2 > file.index.len;
            let is_empty = file.index.events() == 0;
            let is_needed = self.ends_open_events(&file);
            // A compressed file has no blanks in the place of its events.
            let had_lines = file.index.len > 0 || matches!(file.kind, Kind::Rotated(..));
            if is_empty && !is_needed && had_lines {
                self.remove_file(&file)?;
            } else if is_full_of_blanks && file.index.blank_bytes > MAX_ENDED_BYTES * file.index.ended.len() as u64 {
                self.rewrite(file, &|_| false)?;
            } else {
                let catalogue = self.lock_catalogue();
                file.save(&catalogue.place.state);
            }
        }
        Ok(())
    }

    /// Returns true if the active file is large and has fewer events than blanks.
    pub(super) fn is_full_of_blanks(&self) -> Result<bool, StoreError> {
        let active = self.files()?.into_iter().find(|file| file.kind == Kind::Active);
        Ok(active
            .is_some_and(|file| file.index.blank_bytes >= MANY_BLANKS && file.index.blank_bytes * 2 > file.index.len))
    }

    fn housekeeping(&self) -> Result<MaintenanceLock, StoreError> {
        let place = self.lock_catalogue().place.clone();
        MaintenanceLock::take(&place, self.config.timeout, DOING)
    }

    fn files(&self) -> Result<Vec<LogFile>, StoreError> {
        self.snapshot()?;
        Ok(self.lock_catalogue().files().cloned().collect())
    }

    /// The file with older events whose newest one is the oldest; rotated ones first.
    fn oldest_file(&self, before: Timestamp, without: &HashSet<FileKey>) -> Result<Option<LogFile>, StoreError> {
        let files = self.files()?.into_iter();
        let older = files.filter(|file| has_older(file, before) && !without.contains(&file.stamp.key));
        Ok(older.min_by_key(|file| (file.kind == Kind::Active, file.index.last_at())))
    }

    fn remove_file(&self, file: &LogFile) -> Result<u64, StoreError> {
        let mut catalogue = self.lock_catalogue();
        let held = Held::alone(&catalogue.place, self.config.timeout / 2, DOING)?;
        if stat(&file.path).during(DOING)?.map(|metadata| Stamp::of(&metadata)) != Some(file.stamp) {
            // Another file has the name by now (logrotate shifts names): the next call looks again.
            catalogue.forget_look();
            return Ok(0);
        }
        remove_compressed_copy(&file.path, file.kind).during(DOING)?;
        if matches!(file.kind, Kind::Foreign(_)) {
            // A writer that has the file open is not to put it back, even if this process dies now.
            tell_removed(&held, file.kind)?;
        }
        std::fs::remove_file(&file.path).during(DOING)?;
        catalogue.place.sync_folder().during(DOING)?;
        let _ = std::fs::remove_file(super::log_file::index_path(&catalogue.place.state, file.stamp.key));
        tell_removed(&held, file.kind)?;
        catalogue.forget_look();
        Ok(file.index.events())
    }

    fn overwrite(
        &self,
        key: FileKey,
        select: &dyn Fn(&FileIndex) -> Vec<usize>,
        at_most: usize,
        is_selected: &dyn Fn(&Head) -> bool,
    ) -> Result<HashSet<EventId>, StoreError> {
        let mut catalogue = self.lock_catalogue();
        let held = Held::alone(&catalogue.place, self.config.timeout / 2, DOING)?;
        let changes = held.changes().during(DOING)?;
        catalogue.refresh(Some(changes), super::catalogue::Edits::Indexed).during(DOING)?;
        catalogue.catch_up(None, &mut |_, _, _, _| {}).during(DOING)?;
        // Gone: another process has rewritten it, and the next call finds what it made.
        let Some(file) = catalogue.file_mut(key) else { return Ok(HashSet::new()) };
        remove_compressed_copy(&file.path, file.kind).during(DOING)?;
        let blocks = select(&file.index);
        let mut is_begun = false;
        let removed = overwrite(file, blocks, at_most, is_selected, &mut || {
            if !std::mem::replace(&mut is_begun, true) {
                held.begin_edits()?;
            }
            Ok(())
        });
        if is_begun {
            let changes = held.end_edits().during(DOING)?;
            if removed.is_ok() {
                catalogue.saw(changes);
            }
        }
        removed.during(DOING)
    }

    fn rewrite(&self, file: LogFile, is_removed: &dyn Fn(&Head) -> bool) -> Result<HashSet<EventId>, StoreError> {
        let place = self.lock_catalogue().place.clone();
        let is_compressed = !file.is_plain();
        let kind = file.kind;
        let mut rewriting = Rewriting::begin(&place, file, is_compressed).during(DOING)?;
        while rewriting.step(is_removed).during(DOING)? {}
        let hold = || Held::alone(&place, self.config.timeout / 2, DOING).map_err(std::io::Error::other);
        match rewriting.finish(&place, hold).during(DOING)? {
            None => {
                self.lock_catalogue().forget_look();
                Ok(HashSet::new())
            }
            Some((_, removed, held)) => {
                tell_removed(&held, kind)?;
                // Whoever has the catalogue may wait for the lock.
                drop(held);
                self.lock_catalogue().forget_look();
                Ok(removed)
            }
        }
    }

    /// Returns true if one of the blocks has a selected event.
    fn has_one(
        &self,
        file: &LogFile,
        blocks: &[usize],
        is_selected: &dyn Fn(&Head) -> bool,
    ) -> Result<bool, StoreError> {
        for number in blocks {
            let heads = file.heads(&file.index.blocks[*number]).during(DOING)?;
            if heads.iter().any(is_selected) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Tells the other processes that a file was removed, or written anew.
fn tell_removed(held: &Held, kind: Kind) -> Result<(), StoreError> {
    // A writer may not have noticed yet that logrotate has taken this file from it. It is not to put the events back.
    let is_foreign = matches!(kind, Kind::Foreign(_));
    let told = if is_foreign { held.tell_replaced() } else { held.tell_files() };
    told.during(DOING).map(drop)
}

/// Returns true for an error that the file will have again.
fn is_damage_of(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(is_of_one_file)
}

fn has_older(file: &LogFile, before: Timestamp) -> bool {
    file.index.blocks.iter().any(|block| block.events > 0 && block.first_at < before)
}

const DOING: &str = "purge";
/// Below it, the room is not worth a file of its own.
const MANY_BLANKS: u64 = 1 << 20;
/// The length of a line that names an ended event, and some.
const MAX_ENDED_BYTES: u64 = 64;
