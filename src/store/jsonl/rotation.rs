//! Rotation: the file gets another name, and a new one takes its place.
//!
//! Synced, renamed, folder synced, made, folder synced: a crash between any two leaves every event, and a PATH that the next
//! append makes. The new name has the time and a number greater than all before it, and never replaces a file.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::active_file::{ActiveFile, Fate, replaced_error};
use super::append_lock::Held;
use super::catalogue::Edits;
use super::error::DuringOperation as _;
use super::file_layout::{FileKey, Kind, stat};
use super::log_file::{Stamp, remove_compressed_copy};
use super::rlimit_fsize::size_limit;
use super::rotation_failure::RotationFailure;
use super::sealing::SealFiles;
use super::writer::Writer;
use crate::event::{AuditEvent, EventType, Timestamp};
use crate::log_lines::log_line;
use crate::store::StoreError;

impl Writer {
    /// Rotates the file if it would become too large, or is of an earlier day. If it cannot be rotated, it stays the file
    /// that is appended to.
    pub(super) fn rotate_if_due(&mut self, held: &Held, more: u64) -> Result<(), StoreError> {
        let (Some(file), end) = (&self.file, self.end()) else { return Ok(()) };
        if end == 0 {
            return Ok(());
        }
        let rotation = self.config.rotation;
        // A limit of the process may be below the size of the URL.
        let largest = rotation.bytes.map(|bytes| size_limit().map_or(bytes, |limit| limit.min(bytes)));
        let is_large = largest.is_some_and(|largest| end + more > largest);
        let is_old = || -> Result<bool, StoreError> {
            // A health check changes the file's time too, so the day of the last append is noted.
            let noted = held.day_of(file.key.inode()).during(DOING)?;
            let written = day_of_seconds(file.metadata()?.mtime());
            Ok(noted.map_or(written, |noted| noted.min(written)) < today())
        };
        if is_large || (rotation.daily && is_old()?) {
            if self.rotation_failure.as_ref().is_some_and(|failure| failure.is_fresh(file.key, end)) {
                return Ok(());
            }
            let key = file.key;
            match self.rotate(held) {
                Ok(()) => {
                    self.rotation_failure = None;
                    self.plan_expiry();
                }
                Err(error) => self.go_on_after(error, key, end)?,
            }
        }
        Ok(())
    }

    /// Goes on in the file that was not rotated, if it is at PATH still.
    fn go_on_after(&mut self, error: StoreError, key: FileKey, end: u64) -> Result<(), StoreError> {
        let is_there = match &self.file {
            Some(file) if file.key == key => file.fate(&self.config.path, end)? == Fate::Kept,
            _ => false,
        };
        if !is_there {
            return Err(error);
        }
        self.rotation_failure = Some(RotationFailure::new(key, end));
        log_line(move || {
            tracing::error!(%error, "the file of the audit log cannot be rotated: the log goes on in it");
        });
        Ok(())
    }

    /// Notes the day of an append, by which the next day's first one rotates.
    pub(super) fn note_day(&self, held: &Held) -> Result<(), StoreError> {
        match &self.file {
            Some(file) if self.config.rotation.daily => held.note_day(file.key.inode(), today()).during(DOING),
            _ => Ok(()),
        }
    }

    /// Rotates the file.
    pub(super) fn rotate(&mut self, held: &Held) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        if !self.is_listed() {
            return Err(replaced_error());
        }
        let before = file.metadata()?;
        file.seal()?;
        let place = self.catalogue.place.clone();
        let renamed = self.rename_as_rotated(&place.file).during(DOING)?;
        place.sync_folder().during(DOING)?;
        match ActiveFile::create_like(&place, &before) {
            Ok(new) => self.file = Some(new),
            Err(error) => {
                // The old one goes on. If it cannot have its name back, the next append makes a new one.
                rename_new(&renamed, &place.file).and_then(|()| place.sync_folder()).during(DOING)?;
                held.tell_files().during(DOING)?;
                return Err(error);
            }
        }
        place.sync_folder().during(DOING)?;
        let changes = held.tell_replaced().during(DOING)?;
        self.replaced = Some(changes);
        self.catalogue.refresh(Some(changes), Edits::Tolerated).during(DOING)?;
        if let Some(rotated) = self.catalogue.rotated.iter().find(|file| file.path == renamed) {
            rotated.save(&place.state);
        }
        Ok(())
    }

    /// Renames a file to a rotated one with a number greater than all before it. Returns its path.
    pub(super) fn rename_as_rotated(&self, file: &Path) -> io::Result<PathBuf> {
        let mut number = self.catalogue.last_number();
        loop {
            number += 1;
            let path = self.catalogue.place.rotated(Timestamp::now(), number);
            match rename_new(file, &path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                renamed => return renamed.map(|()| path),
            }
        }
    }

    /// Chooses the oldest rotated files beyond those to keep, and records it. They go when the record is durable.
    fn plan_expiry(&mut self) {
        let Some(keep) = self.config.rotation.keep else { return };
        // Only a purge that is signed accounts for events that are gone. Where it cannot be told, the files stay.
        if SealFiles::of(&self.catalogue.place).exist().unwrap_or(true) {
            log_line(move || {
                tracing::warn!(
                    keep,
                    "the log is sealed, so `keep` deletes no file: `tower-audit purge` does, with the retention key"
                );
            });
            return;
        }
        let mut own: Vec<_> = self
            .catalogue
            .rotated
            .iter()
            .filter_map(|file| match file.kind {
                Kind::Rotated(number, _) => Some((number, file)),
                Kind::Active | Kind::Foreign(_) => None,
            })
            .collect();
        own.sort_by_key(|(number, file)| (*number, &file.path));
        let floor = i64::try_from(self.config.floor.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let youngest = Timestamp::now().as_micros().saturating_sub(floor);
        let mut deleted = 0;
        let mut more = Vec::new();
        for (_, file) in own.iter().take(own.len().saturating_sub(keep)) {
            if floor > 0 && file.index.last_at().is_some_and(|last| last.as_micros() > youngest) {
                // A later rotation deletes it.
                continue;
            }
            if !self.expiring.iter().any(|(path, _)| *path == file.path) {
                deleted += file.index.events();
                more.push((file.path.clone(), file.stamp));
            }
        }
        if more.is_empty() {
            return;
        }
        self.expiring.extend(more);
        let mut event = AuditEvent::new(EventType::AUDIT_PURGE);
        event.details.insert("reason".into(), "the log keeps a number of rotated files".into());
        event.details.insert("keep".into(), keep.into());
        event.details.insert("deleted".into(), deleted.into());
        event.truncate_to_limits();
        self.notes.push(event);
        log_line(move || tracing::info!(deleted, keep, "the oldest rotated files of the audit log are removed"));
    }

    /// Removes the files whose removal is recorded. One that cannot be removed now is chosen again by the next rotation.
    pub(super) fn expire(&mut self, held: &Held) {
        if self.expiring.is_empty() {
            return;
        }
        let expiring = std::mem::take(&mut self.expiring);
        if let Err(error) = self.remove_expiring(held, expiring) {
            log_line(move || tracing::warn!(%error, "an old rotated file of the audit log cannot be removed"));
        }
    }

    fn remove_expiring(&mut self, held: &Held, expiring: Vec<(PathBuf, Stamp)>) -> io::Result<()> {
        let mut failed = None;
        for (path, stamp) in expiring {
            // Another program may have put another file there.
            if stat(&path)?.map(|metadata| Stamp::of(&metadata)) != Some(stamp) {
                continue;
            }
            let kind = path.file_name().and_then(|name| self.catalogue.place.kind(name));
            let copy = kind.map_or(Ok(()), |kind| remove_compressed_copy(&path, kind));
            if let Err(error) = copy.and_then(|()| std::fs::remove_file(&path)) {
                failed = Some(error);
            }
        }
        self.catalogue.place.sync_folder()?;
        let changes = held.tell_files()?;
        self.catalogue.refresh(Some(changes), Edits::Tolerated)?;
        failed.map_or(Ok(()), Err)
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

/// The number of the day (UTC) since 1970.
fn day_of_seconds(seconds: i64) -> u64 {
    u64::try_from(seconds.div_euclid(DAY_SECONDS)).unwrap_or(0)
}

fn today() -> u64 {
    day_of_seconds(Timestamp::now().as_micros().div_euclid(1_000_000))
}

const DOING: &str = "rotation";
const DAY_SECONDS: i64 = 86_400;
