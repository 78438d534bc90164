//! Events without a leaf.
//!
//! Lines are appended to the end of a file, but a rotation, a compression, logrotate and a purge change which file that is, and where a line is in it. So no place in
//! a file says what is sealed: the ids of each block are compared with the leaves, once for each block of each file and process. A process that begins reads
//! the whole log for that.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;

use super::memory::SealMemory;
use super::seal_files::SealFiles;
use crate::event::{AuditEvent, EventId};
use crate::store::jsonl::append_lock::peek;
use crate::store::jsonl::error::{DuringOperation as _, error_of};
use crate::store::jsonl::file_index::Block;
use crate::store::jsonl::file_layout::Kind;
use crate::store::jsonl::line;
use crate::store::jsonl::log_file::LogFile;
use crate::store::jsonl::scan::Scan;
use crate::store::jsonl::shared::Shared;
use crate::store::jsonl::snapshot::{BlockRef, ScanError};
use crate::store::{ForeignRow, StoreError, StoreErrorKind, UnsealedEvents};

impl Shared {
    pub(super) fn seal_files(&self) -> SealFiles {
        SealFiles::of(&self.lock_catalogue().place)
    }

    /// Returns the numbers of the leaves of these events.
    pub(super) fn leaf_indexes(&self, ids: &[EventId]) -> io::Result<HashMap<EventId, u64>> {
        let files = self.seal_files();
        self.lock_seal().spans.find(&files, ids)
    }

    /// Returns those of the ids that an event has.
    pub(super) fn ids_there(&self, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        let snapshot = self.snapshot()?;
        let mut there = HashSet::new();
        for id in ids {
            for (file, block) in snapshot.blocks_with(*id) {
                if file.heads(block).during(DOING)?.iter().any(|head| head.event_id == *id) {
                    there.insert(*id);
                }
            }
        }
        Ok(there)
    }

    /// Fails if this user has no right to the lock of the log: they might seal a line whose sync is not over.
    pub(super) fn check_may_seal(&self) -> Result<(), StoreError> {
        match File::open(self.lock_catalogue().place.state.join("lock")) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error_of(StoreErrorKind::Denied, DOING)
                .with_hint("this user may not read the lock of the log: seal as the user of the service")
                .with_source(error)),
            _ => Ok(()),
        }
    }

    /// Returns the length up to which the file at PATH is known to have durable batches.
    pub(super) fn durable_len(&self, active: Option<&LogFile>) -> io::Result<u64> {
        let place = self.lock_catalogue().place.clone();
        let durable = peek(&place)?.and_then(|(_, durable)| durable);
        let inode = active.map(|active| active.stamp.key.inode());
        Ok(durable.filter(|durable| Some(durable.inode) == inode).map_or(0, |durable| durable.len))
    }
}

/// A look for events without a leaf.
pub(super) struct Look<'a> {
    pub(super) memory: &'a mut SealMemory,
    pub(super) files: &'a SealFiles,
    /// The length up to which the file at PATH is known to be durable.
    pub(super) durable: u64,
    pub(super) at_most: usize,
}

impl Scan<'_> {
    /// Returns events without a leaf: those of rotated files first.
    pub(super) fn unsealed(&self, look: Look<'_>) -> Result<UnsealedEvents, ScanError> {
        let Look { memory, files, durable, at_most } = look;
        memory.keep(&self.snapshot.files().map(|file| file.serial).collect());
        let mut events: Vec<AuditEvent> = Vec::new();
        let mut ids = HashSet::new();
        let rotated = self.snapshot.files().filter(|file| file.kind != Kind::Active);
        let active = self.snapshot.files().filter(|file| file.kind == Kind::Active);
        let mut has_more = false;
        'files: for file in rotated.chain(active) {
            let before = events.len();
            for (number, block) in file.index.blocks.iter().enumerate().filter(|(_, block)| block.events > 0) {
                let sealed = memory.sealed(file.serial, number);
                if sealed >= block.len {
                    continue;
                }
                if events.len() >= at_most {
                    has_more = true;
                    break 'files;
                }
                self.check()?;
                let found = without_leaf(file, block, sealed, memory, files).map_err(moved)?;
                if found.events.is_empty() && !found.has_unreadable {
                    memory.note_sealed(file.serial, number, block.len);
                }
                // A file that was copied or moved by another program may have an event twice.
                events.extend(found.events.into_iter().filter(|event| ids.insert(event.event_id)));
            }
            // No leaf survives a loss of power without its event.
            if events.len() > before && !(file.kind == Kind::Active && file.index.len <= durable) {
                File::open(&file.path).and_then(|open| open.sync_data()).map_err(moved)?;
            }
        }
        has_more |= events.len() > at_most;
        events.truncate(at_most);
        Ok(UnsealedEvents { events, position: POSITION.to_owned(), has_more })
    }

    /// Returns the events with these ids. Of two that are alike, one: another program has copied the file.
    pub(super) fn events_of(&self, ids: &[EventId]) -> Result<Vec<AuditEvent>, ScanError> {
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        let mut found: HashMap<EventId, Vec<AuditEvent>> = HashMap::new();
        for file in self.snapshot.files() {
            for block in file.index.blocks.iter().filter(|block| block.events > 0) {
                let next = wanted.partition_point(|id| *id < block.first_id);
                if wanted.get(next).is_none_or(|id| *id > block.last_id) {
                    continue;
                }
                for (head, event) in self.events(&BlockRef { file, block, is_contested: false })?.iter() {
                    if wanted.binary_search(&head.event_id).is_ok() {
                        let alike = found.entry(head.event_id).or_default();
                        if !alike.contains(event) {
                            alike.push(event.clone());
                        }
                    }
                }
            }
        }
        Ok(found.into_values().flatten().collect())
    }

    /// Returns lines that are listed as events and are none.
    pub(super) fn foreign_lines(&self, at_most: usize) -> Result<Vec<ForeignRow>, ScanError> {
        let mut found = Vec::new();
        for file in self.snapshot.files().filter(|file| file.index.unreadable > 0) {
            let name = file.path.file_name().unwrap_or_default().display().to_string();
            for block in &file.index.blocks {
                self.check()?;
                let done = file.visit_block(block, &mut |raw, head| {
                    // A line without a length stands for those of an archive that cannot be read.
                    if raw.len > 0 && !head.is_readable {
                        let text =
                            format!("the line at byte {} of {name} is listed as an event, and is none", raw.start);
                        found.push(ForeignRow::Event { text });
                    }
                    if found.len() < at_most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                if done.map_err(moved)?.is_break() {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}

struct WithoutLeaf {
    events: Vec<AuditEvent>,
    /// True if a line is no event: it may be overwritten at this moment.
    has_unreadable: bool,
}

/// Returns the events of a block, from a length on, that have no leaf.
fn without_leaf(
    file: &LogFile,
    block: &Block,
    sealed: u64,
    memory: &mut SealMemory,
    files: &SealFiles,
) -> io::Result<WithoutLeaf> {
    let mut heads = Vec::new();
    let mut has_unreadable = false;
    let done = file.visit_block(block, &mut |raw, head| {
        if !head.is_readable {
            has_unreadable = true;
        } else if raw.start >= block.start + sealed {
            heads.push((*head, raw.bytes.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    debug_assert!(done.is_continue());
    let ids: Vec<EventId> = heads.iter().map(|(head, _)| head.event_id).collect();
    let leaves = memory.spans.find(files, &ids)?;
    let without = heads.iter().filter(|(head, _)| !leaves.contains_key(&head.event_id));
    Ok(WithoutLeaf { events: without.map(|(head, bytes)| line::decode(bytes, head)).collect(), has_unreadable })
}

fn moved(error: io::Error) -> ScanError {
    match error.kind() {
        ErrorKind::NotFound => ScanError::Moved,
        _ => ScanError::Io(error),
    }
}

/// Nothing in a file says what is sealed.
const POSITION: &str = "";
const DOING: &str = "looking for events without a leaf";
