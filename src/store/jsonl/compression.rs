//! Compression of rotated files, a block at a time, while the log is idle.
//!
//! Each block is a gzip member of its own, so that it can be read alone; `zcat` reads the sequence of them as one file.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::append_lock::Held;
use super::catalogue::Edits;
use super::compression_state::CompressionState;
use super::error::DuringOperation as _;
use super::file_layout::{FileKey, Form, Kind, Place};
use super::log_file::Stamp;
use super::maintenance_lock::MaintenanceLock;
use super::rewriting::Rewriting;
use super::shared::Shared;
use crate::event::Timestamp;
use crate::log_lines::log_line;
use crate::store::StoreError;

impl Shared {
    /// Compresses a block. Returns true if there is more.
    pub(super) fn compress_a_part(&self) -> Result<bool, StoreError> {
        let mut state = self.compression.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = self.lock_catalogue().place.clone();
        let Some(_housekeeping) = MaintenanceLock::try_take(&place).during(DOING)? else { return Ok(false) };
        let mut rewriting = match state.file.take() {
            Some(rewriting) => rewriting,
            None => match self.begin_compression(&mut state, &place)? {
                Some(rewriting) => rewriting,
                None => return Ok(false),
            },
        };
        let more = match rewriting.step(&|_| false) {
            Ok(more) => more,
            Err(error) => {
                let key = super::file_layout::stat(rewriting.source()).ok().flatten().map(|file| FileKey::of(&file));
                state.failed = key;
                let name = rewriting.source().file_name().unwrap_or_default().to_owned();
                log_line(move || {
                    tracing::warn!(%error, file = %name.display(), "a rotated file of the audit log cannot be compressed");
                });
                return Ok(false);
            }
        };
        if more {
            state.file = Some(rewriting);
            return Ok(true);
        }
        let hold = || Held::alone(&place, self.config.timeout / 2, DOING).map_err(io::Error::other);
        let key = rewriting.key();
        match rewriting.finish(&place, hold).during(DOING)? {
            Some((_, _, held)) => {
                state.changed = None;
                held.tell_files().during(DOING)?;
            }
            None => {
                // Another program has changed the file. One that changes again is left as it is.
                if state.changed == Some(key) {
                    state.failed = Some(key);
                }
                state.changed = Some(key);
                self.lock_catalogue().forget_look();
            }
        }
        Ok(true)
    }

    fn begin_compression(&self, state: &mut CompressionState, place: &Place) -> Result<Option<Rewriting>, StoreError> {
        let folder = Stamp::of(&std::fs::metadata(&place.folder).during(DOING)?);
        if state.idle == Some(folder) {
            return Ok(None);
        }
        let source = {
            // Archives are indexed without the lock.
            self.snapshot()?;
            let mut catalogue = self.lock_catalogue();
            let held = Held::shared(place, self.config.timeout / 2, DOING)?;
            let changes = held.as_ref().map(Held::changes).transpose().during(DOING)?;
            catalogue.refresh(changes, Edits::Indexed).during(DOING)?;
            let failed = state.failed;
            let is_plain = |kind| matches!(kind, Kind::Rotated(_, Form::Plain));
            let mut files = catalogue.rotated.iter();
            files.find(|file| is_plain(file.kind) && Some(file.stamp.key) != failed).cloned()
        };
        let Some(source) = source else {
            state.idle = Some(folder);
            return Ok(None);
        };
        remove_leftovers(place);
        Rewriting::begin(place, source, true).during(DOING).map(Some)
    }
}

/// Removes files that a process began and left behind when it died.
fn remove_leftovers(place: &Place) {
    let Ok(entries) = std::fs::read_dir(&place.state) else { return };
    for entry in entries.flatten() {
        let is_temporary = entry.path().extension().is_some_and(|extension| extension == "tmp");
        let is_old =
            |metadata: Metadata| metadata.mtime() < Timestamp::now().as_micros() / 1_000_000 - LEFT_BEHIND_SECONDS;
        if is_temporary && entry.metadata().is_ok_and(is_old) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

const DOING: &str = "compression";
const LEFT_BEHIND_SECONDS: i64 = 86_400;
