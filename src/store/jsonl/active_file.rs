//! The open file that events are appended to.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::{APPEND, DuringOperation as _, OPENING, config, transient};
use super::file_layout::{FileKey, Place, private, stat};
use super::rlimit_fsize::{check_size, size_limit};
use crate::event::Timestamp;
use crate::random::random;
use crate::store::StoreError;

/// The file at PATH, opened for appends.
#[derive(Debug)]
pub(super) struct ActiveFile {
    file: File,
    pub(super) key: FileKey,
}

/// The state of the file after its lines were written and synced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The lines are in the file at PATH.
    Kept,
    /// The file is no longer at PATH, or was cut.
    Lost,
}

impl ActiveFile {
    /// Opens the file; makes it if that is asked for and it is missing. Returns `None` if it is missing otherwise.
    pub(super) fn open(place: &Place, may_create: bool) -> Result<Option<Self>, StoreError> {
        match stat(&place.file).during(OPENING)? {
            Some(metadata) => check_is_file(&metadata)?,
            None if !may_create => return Ok(None),
            None => {
                let mut options = private();
                match options.read(true).append(true).create_new(true).open(&place.file) {
                    Ok(file) => {
                        place.give_to_owner_of_rotated(&file);
                        place.sync_folder().during(OPENING)?;
                        return Self::of(file).map(Some);
                    }
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error).during(OPENING),
                }
            }
        }
        let file = File::options().read(true).append(true).open(&place.file).during(OPENING)?;
        // The process, or the program, that made it may have died before it did.
        place.sync_folder().during(OPENING)?;
        Self::of(file).map(Some)
    }

    /// Makes a new file at PATH with the rights of the one before it. On failure there is none.
    pub(super) fn create_like(place: &Place, before: &Metadata) -> Result<Self, StoreError> {
        let mut options = private();
        let file = options.read(true).append(true).create_new(true).open(&place.file).during(APPEND)?;
        if let Err(error) = file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o777)) {
            let _ = fs::remove_file(&place.file);
            return Err(error).during(APPEND);
        }
        // Only root may give a file away; the app's own files are its own.
        let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
        Self::of(file)
    }

    fn of(file: File) -> Result<Self, StoreError> {
        let metadata = file.metadata().during(OPENING)?;
        check_is_file(&metadata)?;
        Ok(Self { key: FileKey::of(&metadata), file })
    }

    pub(super) fn metadata(&self) -> Result<Metadata, StoreError> {
        self.file.metadata().during(APPEND)
    }

    /// Writes the lines at the end and makes them durable. On failure, cuts the file back to `end`.
    ///
    /// After a failed sync the system forgets which pages are not on the disk (fsyncgate), and another sync would succeed for
    /// lines that are lost. So the lines are taken away, and written anew by the next try.
    ///
    /// If `may_cut` says no, the file stays as it is: another process may have written lines behind these.
    pub(super) fn append(&self, lines: &[u8], end: u64, may_cut: impl Fn() -> bool) -> Result<(), AppendError> {
        let cut = || {
            if !may_cut() {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            self.file.set_len(end).and_then(|()| self.file.sync_data())
        };
        check_size(end + lines.len() as u64).map_err(|cause| AppendError { cause, is_trusted: true })?;
        if let Err(cause) = (&self.file).write_all(lines) {
            // Lines that stay are synced before they count; half a line is moved away.
            let _ = cut();
            return Err(AppendError { cause, is_trusted: true });
        }
        self.file.sync_data().map_err(|cause| AppendError { cause, is_trusted: cut().is_ok() })
    }

    /// The length of the file.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Makes what was written before durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().during(APPEND)
    }

    /// Returns the file's fate, by its state and that of PATH.
    pub(super) fn fate(&self, path: &Path, end: u64) -> Result<Fate, StoreError> {
        let metadata = self.metadata()?;
        let named = stat(path).during(APPEND)?.map(|metadata| FileKey::of(&metadata));
        let is_kept = metadata.nlink() > 0 && metadata.len() >= end && named == Some(self.key);
        Ok(if is_kept { Fate::Kept } else { Fate::Lost })
    }

    /// Moves the bytes behind `end` into a file of their own: a line that was not written to its end. Returns the name of
    /// that file. Where the file cannot be cut, ends the line instead.
    pub(super) fn repair(&self, place: &Place, end: u64) -> Result<Option<String>, StoreError> {
        const DOING: &str = "repairing a torn line";
        place.make_state().during(DOING)?;
        let at = Timestamp::now().as_micros();
        let path = place.state.join(format!("torn-{at}-{:016x}", random()));
        if let Err(error) = self.copy_torn(place, end, &path) {
            // The next try makes another one.
            let _ = fs::remove_file(&path);
            return Err(error).during(DOING);
        }
        if self.file.set_len(end).is_err() {
            // A file that can only be appended to (chattr +a).
            let _ = fs::remove_file(&path);
            check_size(self.metadata()?.len() + 1).during(DOING)?;
            (&self.file).write_all(b"\n").during(DOING)?;
            self.file.sync_data().during(DOING)?;
            return Ok(None);
        }
        self.file.sync_data().during(DOING)?;
        Ok(Some(path.display().to_string()))
    }

    fn copy_torn(&self, place: &Place, end: u64, path: &Path) -> io::Result<()> {
        let copy = private().write(true).create_new(true).open(path)?;
        place.give_to_owner(&copy);
        let mut source = &self.file;
        source.seek(SeekFrom::Start(end))?;
        io::copy(&mut source, &mut &copy)?;
        copy.sync_all()?;
        super::file_layout::sync_folder(&place.state)
    }

    /// Reserves space behind the end, as the next append will, within the largest size of a file. The file's length stays.
    pub(super) fn reserve(&self, end: u64) -> Result<(), StoreError> {
        let room = size_limit().map_or(RESERVED_BYTES, |limit| limit.saturating_sub(end).min(RESERVED_BYTES));
        if room == 0 {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            use rustix::io::Errno;
            match fallocate(&self.file, FallocateFlags::KEEP_SIZE, end, room) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(error) => return Err(io::Error::from(error)).during("health check"),
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = end;
        Ok(())
    }

    /// Makes everything of the file durable, and gives back space that was reserved. Cuts nothing: lines that are not trusted
    /// may be those of another process.
    pub(super) fn seal(&self) -> Result<(), StoreError> {
        // Not possible where the file can only be appended to; then the space stays reserved.
        let _ = self.len().and_then(|len| self.file.set_len(len));
        self.file.sync_all().during("rotation")
    }

    /// Copies the file's content.
    pub(super) fn copy_to(&self, mut target: &File) -> io::Result<()> {
        let mut source = &self.file;
        check_size(self.file.metadata()?.len())?;
        source.seek(SeekFrom::Start(0))?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()
    }
}

/// A failed append.
#[derive(Debug)]
pub(super) struct AppendError {
    pub(super) cause: io::Error,
    /// False if lines behind `end` may be lost though another sync succeeds.
    pub(super) is_trusted: bool,
}

/// Rejects what is no file: events written to it are kept nowhere.
pub(super) fn check_is_file(metadata: &Metadata) -> Result<(), StoreError> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder: name a file in it",
        () if kind.is_char_device() => "a device (such as /dev/null or a terminal), which keeps nothing: name a file",
        () if kind.is_fifo() => "a FIFO, which keeps nothing: name a file",
        () if kind.is_socket() => "a socket, which keeps nothing: name a file",
        () => "no regular file: name one",
    };
    Err(config(format!("the path is {what}")))
}

/// The error for a file that is replaced again and again.
pub(super) fn replaced_error() -> StoreError {
    transient(APPEND).with_hint("the log file was removed, replaced or cut under the writer")
}

const RESERVED_BYTES: u64 = 256 << 10;
