//! The writer: one batch after the other, under the lock of the log.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::active_file::{ActiveFile, Fate, replaced_error};
use super::append_lock::{Changes, Durable, Held, peek};
use super::batch::Batch;
use super::catalogue::{Catalogue, Edits};
use super::config::Config;
use super::error::{APPEND, DuringOperation as _, OPENING, closed_error, config, error_of};
use super::file_layout::{FileKey, Place, private};
use super::known_ids::KnownIds;
use super::line::Line;
use super::liveness_lock::LivenessLock;
use super::log_file::{LogFile, Stamp};
use super::removed_file::{RemovedFile, Wait};
use super::rlimit_fsize::check_size;
use super::rotation_failure::RotationFailure;
use super::snapshot::Snapshot;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::mount::{Mount, volatile_message};
use crate::store::{StoreError, StoreErrorKind};

/// The state of a handle that writes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) config: Config,
    pub(super) catalogue: Catalogue,
    pub(super) file: Option<ActiveFile>,
    known: KnownIds,
    pub(super) lock: LivenessLock,
    /// Events about the log itself, written before the next batch.
    pub(super) notes: Vec<AuditEvent>,
    /// Old files that go when the notes are written.
    pub(super) expiring: Vec<(PathBuf, Stamp)>,
    /// Files that another program has removed, to be put back.
    pub(super) removed: Vec<RemovedFile>,
    /// The last rotation, if it failed.
    pub(super) rotation_failure: Option<RotationFailure>,
    /// The changes when PATH was last looked at.
    pub(super) replaced: Option<Changes>,
    pub(super) is_closed: bool,
}

impl Writer {
    pub(super) fn new(config: Config, place: Place) -> Self {
        Self {
            config,
            catalogue: Catalogue::new(place),
            file: None,
            known: KnownIds::default(),
            lock: LivenessLock::new(),
            notes: Vec::new(),
            expiring: Vec::new(),
            removed: Vec::new(),
            rotation_failure: None,
            replaced: None,
            is_closed: false,
        }
    }

    /// Takes the log's lock.
    pub(super) fn hold(&self, operation: &'static str) -> Result<Held, StoreError> {
        if self.is_closed {
            return Err(closed_error(operation));
        }
        Held::alone(&self.catalogue.place, self.config.timeout / 2, operation)
    }

    /// Appends the events that the log does not have yet. They are durable when this returns.
    pub(super) fn append(&mut self, held: &Held, batch: &Batch) -> Result<(), StoreError> {
        for _ in 0..MAX_FILES {
            self.settle(held)?;
            if batch.has_started {
                self.lock.register(&self.catalogue.place).during(APPEND)?;
            }
            self.rotate_if_due(held, batch.lines.len() as u64)?;
            let notes = Batch::encode(&self.notes, self.config.encoding.as_ref(), self.lock.id)?;
            let fresh = self.fresh(batch, notes)?;
            if !self.is_listed() {
                continue;
            }
            let Some(file) = &self.file else { return Err(replaced_error()) };
            let end = self.end();
            if fresh.entries.is_empty() {
                // The events may be there because an append was written whose sync has failed since.
                file.sync()?;
                match file.fate(&self.config.path, end)? {
                    Fate::Kept => return Ok(()),
                    Fate::Lost => continue,
                }
            }
            let place = &self.catalogue.place;
            if let Err(failed) = file.append(&fresh.lines, end, || held.is_current(place)) {
                if !failed.is_trusted {
                    self.catalogue.distrusted = Some(file.key);
                    // On failure, this process alone leaves it.
                    let _ = held.tell_distrusted(file.key.inode());
                }
                return Err(failed.cause).during(APPEND);
            }
            let end = end + fresh.lines.len() as u64;
            if file.fate(&self.config.path, end)? == Fate::Kept {
                let is_alone = file.len().during(APPEND)? == end && held.is_current(place);
                self.notes.clear();
                if is_alone {
                    self.add(&fresh);
                    self.publish(held)?;
                } else {
                    // Others have written, too, and nobody knows whose lines are where.
                    self.catalogue.active.iter_mut().for_each(LogFile::begin_again);
                    self.settle(held)?;
                }
                self.note_day(held)?;
                self.expire(held);
                return Ok(());
            }
        }
        Err(replaced_error())
    }

    /// Returns the entries whose ids the log does not have, behind the notes.
    fn fresh(&mut self, batch: &Batch, notes: Batch) -> Result<Batch, StoreError> {
        let (mut seen, mut read) = (HashSet::new(), HashSet::new());
        let mut failed = None;
        let fresh = batch.select(notes, |head| {
            seen.insert(head.event_id)
                && !self.known.contains(&self.catalogue, head.event_id, &mut read).unwrap_or_else(|error| {
                    failed = Some(error);
                    true
                })
        });
        match failed {
            Some(error) => Err(error).during("looking for repeated events"),
            None => Ok(fresh),
        }
    }

    /// Begins with another catalogue: the log was made anew.
    pub(super) fn forget_all(&mut self, catalogue: Catalogue) {
        self.catalogue = catalogue;
        self.known = KnownIds::default();
        self.notes.clear();
        self.expiring.clear();
    }

    /// Takes note of lines that were written.
    fn add(&mut self, batch: &Batch) {
        let Some(active) = &mut self.catalogue.active else { return };
        let index = Arc::make_mut(&mut active.index);
        for (head, range) in &batch.entries {
            let block = index.push(range.len() as u64, &Line::Event(*head));
            self.known.add(active.serial, index, block, head.event_id);
        }
    }

    /// The end of the file: that of its last whole line.
    pub(super) fn end(&self) -> u64 {
        self.catalogue.active.as_ref().map_or(0, |active| active.index.len)
    }

    /// Opens the file at PATH if it is another one than before, reads the lines of other processes, and repairs a torn one.
    pub(super) fn settle(&mut self, held: &Held) -> Result<(), StoreError> {
        self.open_listed(held)?;
        self.believe_distrust(held)?;
        if self.catalogue.distrusted.is_some() {
            self.leave_distrusted(held)?;
        }
        let (indexed, size) = (self.end(), self.size()?);
        let published = held.durable().during(APPEND)?;
        let inode = self.file.as_ref().map(|file| file.key.inode());
        let durable = published.filter(|durable| Some(durable.inode) == inode).map_or(0, |durable| durable.len);
        if size < indexed.max(durable) {
            self.note("the log file was cut while it was written: lines that nobody has copied are lost");
            // It may grow again before the others look.
            let changes = held.tell_cut().during(APPEND)?;
            self.catalogue.refresh(Some(changes), Edits::Tolerated).during(APPEND)?;
        }
        if !self.is_listed() {
            return Err(replaced_error());
        }
        let indexed = self.end();
        if size == indexed {
            return self.publish(held);
        }
        let known = &mut self.known;
        let torn =
            self.catalogue.catch_up(None, &mut |file, index, block, head| known.add(file, index, block, head.event_id));
        let torn = torn.during(APPEND)?;
        if !self.is_listed() || self.end() + torn < size {
            // The name led to another file while it was read: what is known does not reach the end of this one.
            return Err(replaced_error());
        }
        if torn > 0 {
            self.repair()?;
        }
        let Some(file) = &self.file else { return Ok(()) };
        let durable = Durable { inode: file.key.inode(), len: self.end() };
        if held.durable().during(APPEND)? != Some(durable) {
            // The lines of a process that died may not be on the disk yet.
            file.sync()?;
        }
        self.publish(held)
    }

    /// Opens the file at PATH and looks at the files, until both have found the same one there.
    fn open_listed(&mut self, held: &Held) -> Result<(), StoreError> {
        for _ in 0..MAX_FILES {
            let changes = held.changes().during(APPEND)?;
            let was_told = self.replaced.is_none_or(|before| changes.has_replaced_since(before));
            self.replaced = Some(changes);
            if changes.is_editing() {
                // A process died while it overwrote lines.
                held.end_edits().during(APPEND)?;
            }
            let index = self.catalogue.active.as_ref().map(|active| active.index.clone()).unwrap_or_default();
            let before = self.open_current(held)?;
            self.catalogue.refresh(Some(held.changes().during(APPEND)?), Edits::Tolerated).during(APPEND)?;
            if let Some((before, was_empty)) = before
                && !was_told
                && !was_empty
            {
                self.note_replaced(held, before, index)?;
            }
            self.put_back(held, Wait::ForRoom)?;
            if self.is_listed() {
                return Ok(());
            }
        }
        Err(replaced_error())
    }

    /// Returns true if the open file is the one that the catalogue has at PATH: then the index is of this file.
    pub(super) fn is_listed(&self) -> bool {
        let listed = self.catalogue.active.as_ref().map(|active| active.stamp.key);
        self.file.as_ref().map(|file| file.key) == listed
    }

    /// Tells readers up to where the file has durable batches.
    fn publish(&self, held: &Held) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        held.publish(Durable { inode: file.key.inode(), len: self.end() }).during(APPEND)
    }

    fn size(&self) -> Result<u64, StoreError> {
        let Some(file) = &self.file else { return Ok(0) };
        Ok(file.metadata()?.len())
    }

    /// Opens the file at PATH, unless it is open. Returns the file that was open instead, and whether it was empty.
    fn open_current(&mut self, held: &Held) -> Result<Option<(ActiveFile, bool)>, StoreError> {
        let named = super::file_layout::stat(&self.config.path).during(APPEND)?;
        if let (Some(file), Some(named)) = (&self.file, &named)
            && file.key == FileKey::of(named)
        {
            return Ok(None);
        }
        let place = Place::resolve(&self.config.path).during(APPEND)?;
        if place != self.catalogue.place {
            return Err(error_of(StoreErrorKind::Config, APPEND)
                .with_hint("PATH is a symbolic link that now leads elsewhere: start the app again"));
        }
        let was_empty = self.end() == 0;
        let is_new = named.is_none();
        if is_new {
            self.rename_files_moved_aside(held).during(APPEND)?;
        }
        let before = self.file.take();
        self.file = ActiveFile::open(&self.catalogue.place, true).map_err(|error| match &before {
            // The file that was there may come back.
            Some(_) if error.kind() == StoreErrorKind::Config => {
                super::error::transient(APPEND).with_hint("another thing is at PATH").with_source(error)
            }
            _ => error,
        })?;
        if is_new && let Some(file) = &self.file {
            // The inode may be that of a longer file that was removed.
            held.publish(Durable { inode: file.key.inode(), len: 0 }).during(APPEND)?;
        }
        if is_new && before.is_some() {
            self.replaced = Some(held.tell_replaced().during(APPEND)?);
        }
        Ok(before.map(|before| (before, was_empty)))
    }

    /// Checks at the start that events can be written.
    pub(super) fn open(&mut self) -> Result<(), StoreError> {
        let place = &self.catalogue.place;
        if !place.folder.is_dir() {
            return Err(config(format!("{} is no folder: make it first", place.folder.display())));
        }
        if let Some(metadata) = super::file_layout::stat(&place.file).during(OPENING)? {
            super::active_file::check_is_file(&metadata)?;
        }
        place.make_state().during(OPENING)?;
        let mount = Mount::of(&place.file);
        if let Some(file_system) = mount.as_ref().and_then(Mount::volatile_file_system).map(str::to_owned) {
            log_line(move || {
                tracing::warn!("the audit log is not durable: {}", volatile_message(&file_system));
            });
        }
        // Makes the lock.
        drop(self.hold(OPENING)?);
        self.index_without_lock().during(OPENING)?;
        let held = self.hold(OPENING)?;
        self.settle(&held)
    }

    /// Indexes the files, so that less of them is read while other processes wait for the lock.
    fn index_without_lock(&mut self) -> io::Result<()> {
        let told = peek(&self.catalogue.place)?;
        self.catalogue.refresh(told.map(|(changes, _)| changes), Edits::Indexed)?;
        let inode = self.catalogue.active.as_ref().map(|active| active.stamp.key.inode());
        if let Some((_, Some(durable))) = told
            && inode == Some(durable.inode)
        {
            let known = &mut self.known;
            self.catalogue.catch_up(Some(durable.len), &mut |file, index, block, head| {
                known.add(file, index, block, head.event_id);
            })?;
        }
        Ok(())
    }

    /// Does what an append does, except for its lines.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "health check";
        let held = self.hold(DOING)?;
        self.settle(&held)?;
        let Some(file) = &self.file else { return Err(replaced_error()) };
        if self.config.rotation.bytes.is_none() {
            check_size(self.end() + 1).during(DOING)?;
        }
        file.reserve(self.end())?;
        let path = self.catalogue.place.state.join("probe");
        let probe = private().write(true).create(true).truncate(false).open(path).during(DOING)?;
        self.catalogue.place.give_to_owner(&probe);
        probe.write_all_at(&[b' '; 4096], 0).and_then(|()| probe.sync_data()).during(DOING)?;
        match file.fate(&self.config.path, self.end())? {
            Fate::Kept => Ok(()),
            Fate::Lost => Err(replaced_error()),
        }
    }

    /// Releases everything. The writer's open events are left to the next recovery.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        if !self.is_closed {
            let has_open_events = self.hold("closing").and_then(|held| {
                self.settle(&held)?;
                self.put_back_at_last(&held)?;
                let own = Some(self.lock.id);
                Ok(Snapshot::of(&self.catalogue).open_events().into_values().any(|writer| writer == own))
            });
            self.lock.release(has_open_events.unwrap_or(true));
            self.is_closed = true;
            self.file = None;
        }
        Ok(())
    }

    /// Puts removed files back before they are closed, and writes the events that say so.
    fn put_back_at_last(&mut self, held: &Held) -> Result<(), StoreError> {
        if self.removed.is_empty() {
            return Ok(());
        }
        self.put_back(held, Wait::No)?;
        self.append(held, &Batch::default())
    }

    fn repair(&mut self) -> Result<(), StoreError> {
        let (Some(file), end) = (&self.file, self.end()) else { return Ok(()) };
        let copy = file.repair(&self.catalogue.place, end)?;
        if copy.is_none() {
            // The line has an end now.
            let known = &mut self.known;
            let caught = self
                .catalogue
                .catch_up(None, &mut |file, index, block, head| known.add(file, index, block, head.event_id));
            caught.during(APPEND)?;
        }
        log_line(move || {
            tracing::warn!(
                copy,
                "the audit log ended in a line that was not written to its end: no response left for it"
            );
        });
        Ok(())
    }

    /// Takes note of a file that another process cannot trust. Only its durable batches count.
    fn believe_distrust(&mut self, held: &Held) -> Result<(), StoreError> {
        let told = held.changes().during(APPEND)?.distrusted;
        let key = self.file.as_ref().map(|file| file.key).filter(|key| key.inode() == told);
        let durable = held.durable().during(APPEND)?.filter(|durable| durable.inode == told);
        if self.catalogue.distrusted.is_none()
            && key.is_some()
            && let Some(durable) = durable
        {
            let known = &mut self.known;
            let caught = self.catalogue.catch_up(Some(durable.len), &mut |file, index, block, head| {
                known.add(file, index, block, head.event_id);
            });
            caught.during(APPEND)?;
            self.catalogue.distrusted = key;
        }
        Ok(())
    }

    /// Leaves a file with lines that could be neither synced nor removed.
    fn leave_distrusted(&mut self, held: &Held) -> Result<(), StoreError> {
        if self.catalogue.distrusted == self.file.as_ref().map(|file| file.key) {
            self.rotate(held)?;
            held.tell_distrusted(0).during(APPEND)?;
        }
        self.catalogue.distrusted = None;
        Ok(())
    }
}

/// The number of files that an append is tried on while others take them away.
const MAX_FILES: usize = 4;
