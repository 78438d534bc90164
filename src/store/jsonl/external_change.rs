//! Another program's removal, move or cut of the file at PATH: what is told of it, and what is put back.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::active_file::ActiveFile;
use super::append_lock::Held;
use super::catalogue::Edits;
use super::error::{APPEND, DuringOperation as _};
use super::file_index::FileIndex;
use super::file_layout::private;
use super::removed_file::{RemovedFile, Wait};
use super::writer::Writer;
use crate::event::{AuditEvent, EventType, Timestamp};
use crate::log_lines::log_line;
use crate::store::StoreError;

impl Writer {
    /// Writes an event about the log before the next batch, and a line to the operator.
    pub(super) fn note(&mut self, reason: &'static str) {
        let mut event = AuditEvent::new(EventType::AUDIT_FAILED);
        event.details.insert("reason".into(), reason.into());
        event.truncate_to_limits();
        self.notes.push(event);
        self.notes.truncate(MAX_NOTES);
        log_line(move || {
            tracing::error!(reason, "the file of the audit log was removed, moved or cut by another program");
        });
    }

    /// Takes note of a file that another program has taken away from PATH. `index` is that of its lines, as far as they are
    /// known.
    pub(super) fn note_replaced(
        &mut self,
        held: &Held,
        before: ActiveFile,
        index: Arc<FileIndex>,
    ) -> Result<(), StoreError> {
        if self.is_rotated(&before) {
            // By logrotate: readers find it.
            return Ok(());
        }
        // t0: logrotate has made `PATH.1.gz` of `PATH.1`. t1: the folder is read, with both. t2: logrotate removes `PATH.1`.
        // t3: `PATH.1` is looked at, and neither is listed.
        self.catalogue.forget_look();
        self.catalogue.refresh(Some(held.changes().during(APPEND)?), Edits::Tolerated).during(APPEND)?;
        if self.is_rotated(&before) {
            return Ok(());
        }
        if before.metadata()?.nlink() > 0 {
            self.note("the log file was moved away while it was written: readers of this log no longer see its events");
            return Ok(());
        }
        if self.removed.len() < MAX_REMOVED {
            self.removed.push(RemovedFile::new(before, index));
        } else {
            self.note("the log file was removed while it was written, and its events are lost");
        }
        self.put_back(held, Wait::ForRoom)
    }

    /// Returns true if the file has the name of a rotated one.
    fn is_rotated(&self, file: &ActiveFile) -> bool {
        self.catalogue.rotated.iter().any(|rotated| rotated.stamp.key == file.key)
            || self.catalogue.unindexed.iter().any(|(_, key)| *key == file.key)
    }

    /// Gives the files that logrotate has moved aside names of rotated files. It comes before a file is made at PATH.
    ///
    /// t0: logrotate renames PATH to `PATH.1`. t1: an append makes PATH. t2: logrotate finds it where it is about to make one, and
    /// renames it to `PATH-2026052512.backup`. The next file of the same hour that it moves aside would replace this one.
    pub(super) fn rename_files_moved_aside(&mut self, held: &Held) -> io::Result<()> {
        let place = self.catalogue.place.clone();
        for entry in std::fs::read_dir(&place.folder)? {
            let entry = entry?;
            if !place.is_moved_aside(&entry.file_name()) || !entry.file_type()?.is_file() {
                continue;
            }
            self.catalogue.refresh(Some(held.changes()?), Edits::Tolerated)?;
            if self.catalogue.neighbours.contains(&entry.file_name()) {
                continue;
            }
            if let Err(error) = self.rename_as_rotated(&entry.path()) {
                log_line(move || {
                    tracing::error!(
                        %error,
                        "a file of the audit log that logrotate has moved aside cannot be renamed: the next one may replace it"
                    );
                });
                continue;
            }
            place.sync_folder()?;
            // A process that has the file open is not to put it back once a purge has removed it.
            self.replaced = Some(held.tell_replaced()?);
        }
        Ok(())
    }

    /// Puts files back that another program has removed, and that are still open here.
    ///
    /// logrotate with `compress` renames a file, copies it into another, and removes it. Its events are not lost.
    pub(super) fn put_back(&mut self, held: &Held, wait: Wait) -> Result<(), StoreError> {
        for mut removed in std::mem::take(&mut self.removed) {
            if removed.is_kept_in(&self.catalogue.rotated) {
                continue;
            }
            let may_be_kept = !self.catalogue.unindexed.is_empty() && removed.since.elapsed() < INDEXING_TIME;
            let is_soon = removed.tried_at.is_some_and(|at| at.elapsed() < RETRY_TIME);
            if wait == Wait::ForRoom && (may_be_kept || is_soon) {
                self.removed.push(removed);
                continue;
            }
            match self.rescue(held, &removed.file) {
                Ok(()) => {
                    self.note(
                        "the log file was removed while it was written; its events were put back as a rotated file",
                    );
                }
                Err(error) if wait == Wait::ForRoom => {
                    if removed.tried_at.is_none() {
                        self.note("the log file was removed while it was written; its events cannot be put back yet");
                        log_line(move || {
                            tracing::error!(%error, "a removed file of the audit log cannot be put back yet");
                        });
                    }
                    removed.tried_at = Some(Instant::now());
                    self.removed.push(removed);
                }
                Err(_) => self.note("the log file was removed while it was written, and its events are lost"),
            }
        }
        Ok(())
    }

    /// Makes a rotated file of one that was removed and is still open.
    fn rescue(&mut self, held: &Held, before: &ActiveFile) -> io::Result<()> {
        let place = self.catalogue.place.clone();
        let path = place.rotated(Timestamp::now(), self.catalogue.last_number() + 1);
        let copy = private().write(true).create_new(true).open(&path)?;
        place.give_to_owner(&copy);
        if let Err(error) = before.copy_to(&copy) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        place.sync_folder()?;
        let changes = held.tell_replaced()?;
        self.replaced = Some(changes);
        self.catalogue.refresh(Some(changes), Edits::Tolerated)
    }
}

const MAX_NOTES: usize = 8;
/// Each keeps its place on the disk until it is closed.
const MAX_REMOVED: usize = 8;
const RETRY_TIME: Duration = Duration::from_secs(1);
/// The time for large archives to be indexed, of which one may have the events.
const INDEXING_TIME: Duration = Duration::from_secs(60);
