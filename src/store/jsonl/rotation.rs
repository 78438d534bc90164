//! Rotation: the file gets another name, and a new one takes its place.
//!
//! Synced, renamed, folder synced, made, folder synced: a crash between any two leaves every event, and a PATH that the next
//! append makes. The new name has the time and a number greater than all before it, and never replaces a file.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::active_file::ActiveFile;
use super::append_lock::Held;
use super::catalogue::Edits;
use super::error::DuringOperation as _;
use super::place::{Kind, stat};
use super::writer::Writer;
use crate::event::{AuditEvent, EventType, Timestamp};
use crate::log_lines::log_line;
use crate::store::StoreError;

impl Writer {
    /// Rotates the file if it would become too large, or is of an earlier day.
    pub(super) fn rotate_if_due(&mut self, held: &Held, more: u64) -> Result<(), StoreError> {
        let (Some(file), end) = (&self.file, self.end()) else { return Ok(()) };
        if end == 0 {
            return Ok(());
        }
        let rotation = self.config.rotation;
        let is_large = rotation.bytes.is_some_and(|bytes| end + more > bytes);
        let is_old = || -> Result<bool, StoreError> {
            let written = file.metadata()?.mtime();
            Ok(written.div_euclid(DAY_SECONDS) < Timestamp::now().as_micros().div_euclid(DAY_SECONDS * 1_000_000))
        };
        if is_large || (rotation.daily && is_old()?) {
            self.rotate(held)?;
            self.expire(held)?;
        }
        Ok(())
    }

    /// Rotates the file.
    pub(super) fn rotate(&mut self, held: &Held) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let before = file.metadata()?;
        file.seal(self.end())?;
        let place = self.catalogue.place.clone();
        let mut number = self.catalogue.last_number();
        let renamed = loop {
            number += 1;
            let path = place.rotated(Timestamp::now(), number);
            match rename_new(&place.file, &path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed.during(DOING)?;
                    break path;
                }
            }
        };
        place.sync_folder().during(DOING)?;
        self.file = None;
        self.file = Some(ActiveFile::create_like(&place, &before)?);
        place.sync_folder().during(DOING)?;
        let changes = held.tell_files().during(DOING)?;
        self.catalogue.refresh(Some(changes), Edits::Tolerated).during(DOING)?;
        if let Some(rotated) = self.catalogue.rotated.iter().find(|file| file.path == renamed) {
            rotated.save(&place.state);
        }
        Ok(())
    }

    /// Removes the oldest rotated files beyond those to keep, and records it.
    fn expire(&mut self, held: &Held) -> Result<(), StoreError> {
        let Some(keep) = self.config.rotation.keep else { return Ok(()) };
        let mut own: Vec<_> = self
            .catalogue
            .rotated
            .iter()
            .filter_map(|file| match file.kind {
                Kind::Rotated(number, _) => Some((number, file.path.clone(), file.index.events())),
                Kind::Active | Kind::Foreign(_) => None,
            })
            .collect();
        own.sort();
        let mut deleted = 0;
        for (_, path, events) in own.iter().take(own.len().saturating_sub(keep)) {
            std::fs::remove_file(path).during(DOING)?;
            deleted += events;
        }
        if own.len() <= keep {
            return Ok(());
        }
        self.catalogue.place.sync_folder().during(DOING)?;
        let mut event = AuditEvent::new(EventType::AUDIT_PURGE);
        event.details.insert("reason".into(), "the log keeps a number of rotated files".into());
        event.details.insert("keep".into(), keep.into());
        event.details.insert("deleted".into(), deleted.into());
        event.truncate_to_limits();
        self.notes.push(event);
        log_line(move || tracing::info!(deleted, keep, "the oldest rotated files of the audit log were removed"));
        let changes = held.tell_files().during(DOING)?;
        self.catalogue.refresh(Some(changes), Edits::Tolerated).during(DOING)
    }
}

/// Renames a file unless there is one of the new name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {}
            done => return done.map_err(io::Error::from),
        }
    }
    // Every process of the log that makes such names holds its lock.
    if stat(to)?.is_some() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

const DOING: &str = "rotation";
const DAY_SECONDS: i64 = 86_400;
