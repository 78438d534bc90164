//! Another program's removal, move or cut of the file at PATH: what is told of it, and what is put back.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::active_file::ActiveFile;
use super::append_lock::Held;
use super::catalogue::Edits;
use super::place::private;
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

    /// Takes note of a file that another program has taken away from PATH.
    pub(super) fn note_replaced(&mut self, held: &Held, before: &ActiveFile) -> Result<(), StoreError> {
        if self.catalogue.rotated.iter().any(|file| file.stamp.key == before.key) {
            // Renamed by logrotate: readers find it.
            return Ok(());
        }
        if before.metadata()?.nlink() > 0 {
            self.note("the log file was moved away while it was written: readers of this log no longer see its events");
            return Ok(());
        }
        match self.rescue(held, before) {
            Ok(()) => {
                self.note("the log file was removed while it was written; its events were put back as a rotated file")
            }
            Err(_) => self.note("the log file was removed while it was written, and its events are lost"),
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
