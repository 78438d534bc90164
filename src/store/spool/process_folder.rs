//! The folder of one process in the spool's directory: its lock, its segments, its progress.
//!
//! A process holds the lock of its folder, which the kernel releases when it dies. Then another one takes the lock and with it the
//! folder: it adopts it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::backlog::{Backlog, Batch};
use super::error::{DuringOperation as _, closed_error};
use super::frame::Frame;
use super::progress::{self, Position};
use super::segment::Segment;

use crate::event::{AuditEvent, Timestamp};
use crate::random::random;
use crate::store::StoreError;
use crate::store::files::{FileKey, LockedFile, give_to_owner_of, private, stat, sync_folder};

/// A folder whose lock this process holds.
#[derive(Debug)]
pub(super) struct ProcessFolder {
    pub(super) path: PathBuf,
    lock: Mutex<Option<LockedFile>>,
    backlog: Mutex<Backlog>,
}

impl ProcessFolder {
    /// A folder of this process, not made yet. Its name begins with the time: names sort by age.
    pub(super) fn new(directory: &Path) -> Self {
        let path = directory.join(format!("{PREFIX}{:016}-{:016x}", Timestamp::now().as_micros().max(0), random()));
        Self { path, lock: Mutex::default(), backlog: Mutex::default() }
    }

    /// A folder of the program, for events that it puts in. A `started` event among them is open in the folder of the process that wrote
    /// it, or was ended.
    pub(super) fn of_program(directory: &Path) -> Self {
        let folder = Self::new(directory);
        let mut name = folder.path.into_os_string();
        name.push(OF_PROGRAM);
        Self { path: name.into(), ..folder }
    }

    /// Makes the folder and takes its lock, if that is still to be done, or someone has removed it.
    pub(super) fn ensure(&self) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*lock
            && is_at(file, &self.path.join(LOCK))?
        {
            return Ok(());
        }
        match fs::DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        give_to_owner_of(directory, &File::open(&self.path)?);
        let path = self.path.join(LOCK);
        let file = private().write(true).create(true).truncate(false).open(&path)?;
        give_to_owner_of(directory, &file);
        file.try_lock()?;
        let file = LockedFile::new(file);
        if !is_at(&file, &path)? {
            return Err(io::Error::other("the folder was removed while it was made"));
        }
        sync_folder(&self.path)?;
        sync_folder(directory)?;
        *lock = Some(file);
        Ok(())
    }

    /// Takes over the folder of a process that has died. `None` if that lives. Returns the number of bytes of a frame that was not
    /// finished, too.
    pub(super) fn adopt(path: &Path) -> io::Result<Option<(Self, u64)>> {
        let lock = path.join(LOCK);
        let file = match File::options().write(true).open(&lock) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let file = LockedFile::new(file);
        if !is_at(&file, &lock)? {
            return Ok(None);
        }
        let (mut backlog, torn) = Backlog::load(path)?;
        if path.as_os_str().as_encoded_bytes().ends_with(OF_PROGRAM.as_bytes()) {
            backlog.open.clear();
        }
        let folder = Self { path: path.to_owned(), lock: Mutex::new(Some(file)), backlog: Mutex::new(backlog) };
        Ok(Some((folder, torn)))
    }

    /// The folders in a directory, oldest first.
    pub(super) fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) && entry.file_type()?.is_dir() {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns true if a living process holds the folder.
    pub(super) fn is_alive(path: &Path) -> bool {
        let file = File::options().write(true).open(path.join(LOCK));
        // The lock that was taken is released at once.
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || file.unlock().is_err())
    }

    pub(super) fn backlog(&self) -> MutexGuard<'_, Backlog> {
        // A change that was cut short by a panic leaves a folder that ships less or says more, never one that loses.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the oldest frames that are not shipped, with about `most` events. `None` if there are none, or the lock was released.
    pub(super) fn next_batch(&self, most: u64) -> io::Result<Option<Batch>> {
        let place = {
            let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            if lock.is_none() {
                return Ok(None);
            }
            let mut backlog = self.backlog();
            // A segment that was shipped while it was written, and has ended since, would hide the next one.
            backlog.remove_shipped(&self.path)?;
            backlog.read_place()
        };
        place.map(|place| place.read(most)).transpose()
    }

    /// Takes note that everything before `end` is shipped. Does nothing once the lock was released: the folder is another's.
    pub(super) fn advance(&self, end: Position, events: u64) -> io::Result<()> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            return Ok(());
        }
        self.backlog().advance(&self.path, end, events)
    }

    /// Appends the ends of open events durably, in a segment of their own. The folder is an adopted one: nobody else writes to it.
    ///
    /// The bounds of the spool do not hold for them: they are no more than the requests that its process was serving.
    pub(super) fn append_ends(&self, ends: &[AuditEvent]) -> Result<(), StoreError> {
        const DOING: &str = "closing orphans";
        let frame = Frame::encode(ends)?;
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            return Err(closed_error(DOING));
        }
        let (number, previous_len) = self.backlog().next_segment();
        let segment = Segment::create(&self.path, number, previous_len, &frame).during(DOING)?;
        self.backlog().push_ended(segment, &frame, ends);
        Ok(())
    }

    /// Removes the folder if everything is shipped and no event is open. Otherwise brings its file of open events up to date. Releases
    /// the lock in any case.
    pub(super) fn leave(&self) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = lock.take() else { return Ok(()) };
        let mut backlog = self.backlog();
        backlog.active = None;
        backlog.remove_shipped(&self.path)?;
        if !backlog.segments.is_empty() {
            return Ok(());
        }
        backlog.open.save(&self.path, u64::MAX)?;
        if backlog.open.is_empty() {
            for name in [progress::FILE, LOCK] {
                match fs::remove_file(self.path.join(name)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
            // It stays if someone has put something into it.
            let _ = fs::remove_dir(&self.path);
        }
        drop(held);
        Ok(())
    }

    /// Releases the lock, and leaves the folder as it is.
    pub(super) fn release(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let named = stat(path)?.map(|metadata| FileKey::of(&metadata));
    Ok(named == Some(FileKey::of(&file.metadata()?)))
}

const PREFIX: &str = "writer-";
/// The end of the name of a folder of the program.
const OF_PROGRAM: &str = "-program";
const LOCK: &str = "lock";
