//! The lock among the processes of a log, and numbers in it that tell them of each other's changes.
//!
//! Held alone for an append, a rotation and the removal of events. The kernel releases it when its process dies. A busy writer
//! holds it nearly always, so readers do without: the lock's file says up to where the file at PATH has durable batches.
//!
//! | place | number |
//! |---|---|
//! | 0 | changes of files |
//! | 8 | changes of lines; odd while they are made |
//! | 16, 24 | the inode of the file at PATH, and the length of its durable batches |
//! | 32 | both and the start of the machine, by exclusive or: a reader sees by it that it has read two halves, or numbers from before a power loss |
//! | 40 | replacements of the file at PATH by a process of the log |
//! | 48 | cuts of the file at PATH by another program |
//! | 56, 64 | the inode of the file at PATH, and the day (UTC) of its last append |
//! | 72 | the inode of a file with lines that could be neither synced nor cut away; 0 if there is none |

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::boot_id::boot_id;
use super::error::{DuringOperation as _, transient};
use super::file_layout::{FileKey, Place, private, stat};
use crate::store::StoreError;
use crate::store::files::LockedFile;

/// The lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    file: LockedFile,
    key: FileKey,
}

/// The numbers of changes, as another process left them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changes {
    lock: FileKey,
    /// Files that were made, renamed or removed.
    pub(super) files: u64,
    /// Lines that were overwritten; odd while they are.
    edits: u64,
    /// Files at PATH that a process of the log replaced.
    replaced: u64,
    /// Times that another program cut the file at PATH.
    pub(super) cuts: u64,
    /// The inode of a file that is to be left: another sync would succeed without some of its lines.
    pub(super) distrusted: u64,
}

impl Changes {
    /// Returns true if lines are being overwritten, or a process died while it did that.
    pub(super) fn is_editing(self) -> bool {
        self.edits % 2 == 1
    }

    /// Returns true if lines may have been overwritten since `before`.
    pub(super) fn has_edits_since(self, before: Option<Self>) -> bool {
        self.is_editing() || before.is_none_or(|before| self.lock != before.lock || self.edits != before.edits)
    }

    /// Returns true if a process of the log has replaced the file at PATH since `before`.
    pub(super) fn has_replaced_since(self, before: Self) -> bool {
        self.lock == before.lock && self.replaced != before.replaced
    }
}

/// The length of the durable batches in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Durable {
    pub(super) inode: u64,
    pub(super) len: u64,
}

impl Durable {
    fn check(self) -> u64 {
        self.inode ^ self.len ^ boot_id() ^ 0x6a73_6f6e_6c6c_6f67
    }
}

/// Reads the numbers without the lock. `None` if there is no lock, or this user has no right to it.
pub(super) fn peek(place: &Place) -> io::Result<Option<(Changes, Option<Durable>)>> {
    let file = match File::open(place.state.join("lock")) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(None),
        file => file?,
    };
    let key = FileKey::of(&file.metadata()?);
    read_numbers(&file, key).map(Some)
}

fn read_numbers(file: &File, lock: FileKey) -> io::Result<(Changes, Option<Durable>)> {
    let mut bytes = [0; 80];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    let number = |n: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * n + byte]));
    let durable = Durable { inode: number(2), len: number(3) };
    let changes = Changes {
        lock,
        files: number(0),
        edits: number(1),
        replaced: number(5),
        cuts: number(6),
        distrusted: number(9),
    };
    Ok((changes, Some(durable).filter(|durable| durable.check() == number(4))))
}

impl Held {
    /// Takes the lock alone. Makes it, and its folder, if it is not there.
    pub(super) fn alone(place: &Place, timeout: Duration, operation: &'static str) -> Result<Self, StoreError> {
        let path = place.state.join("lock");
        let deadline = Instant::now() + timeout;
        loop {
            let mut options = private();
            options.read(true).write(true);
            let file = match options.open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    place.make_state().during(operation)?;
                    let file = options.create(true).open(&path).during(operation)?;
                    place.give_to_owner(&file);
                    file
                }
                file => file.during(operation)?,
            };
            if let Some(held) = Self::lock(file, &path, File::try_lock, deadline, operation)? {
                return Ok(held);
            }
        }
    }

    /// Takes the lock together with other readers. `None` if there is none, or this user has no right to it.
    pub(super) fn shared(
        place: &Place,
        timeout: Duration,
        operation: &'static str,
    ) -> Result<Option<Self>, StoreError> {
        let path = place.state.join("lock");
        let deadline = Instant::now() + timeout;
        loop {
            let file = match File::open(&path) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                    return Ok(None);
                }
                file => file.during(operation)?,
            };
            if let Some(held) = Self::lock(file, &path, File::try_lock_shared, deadline, operation)? {
                return Ok(Some(held));
            }
        }
    }

    /// Returns `None` if the file was removed meanwhile.
    fn lock(
        file: File,
        path: &Path,
        try_lock: fn(&File) -> Result<(), TryLockError>,
        deadline: Instant,
        operation: &'static str,
    ) -> Result<Option<Self>, StoreError> {
        let mut pause = Duration::from_micros(50);
        loop {
            match try_lock(&file) {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(2));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(transient(operation).with_hint("another process holds the log's lock"));
                }
                Err(TryLockError::Error(error)) => return Err(error).during(operation),
            }
        }
        let file = LockedFile::new(file);
        let key = FileKey::of(&file.metadata().during(operation)?);
        let named = stat(path).during(operation)?.map(|metadata| FileKey::of(&metadata));
        Ok((named == Some(key)).then_some(Self { file, key }))
    }

    /// Reads the numbers of changes.
    pub(super) fn changes(&self) -> io::Result<Changes> {
        read_numbers(&self.file, self.key).map(|(changes, _)| changes)
    }

    /// Returns the length of the durable batches, as it was told.
    pub(super) fn durable(&self) -> io::Result<Option<Durable>> {
        read_numbers(&self.file, self.key).map(|(_, durable)| durable)
    }

    /// Tells readers up to where the file at PATH has durable batches.
    pub(super) fn publish(&self, durable: Durable) -> io::Result<()> {
        if self.durable()? == Some(durable) {
            return Ok(());
        }
        let numbers = [durable.inode, durable.len, durable.check()];
        self.file.write_all_at(numbers.map(u64::to_le_bytes).as_flattened(), 16)
    }

    /// Tells the others that files were made, renamed or removed.
    pub(super) fn tell_files(&self) -> io::Result<Changes> {
        let changes = self.changes()?;
        self.file.write_all_at(&changes.files.wrapping_add(1).to_le_bytes(), 0)?;
        self.changes()
    }

    /// Tells the others that lines are about to be overwritten. They believe no index until [`end_edits`](Self::end_edits),
    /// which the next holder of the lock calls if this process dies before it does.
    pub(super) fn begin_edits(&self) -> io::Result<()> {
        let edits = self.changes()?.edits;
        self.file.write_all_at(&(edits.wrapping_add(1) | 1).to_le_bytes(), 8)
    }

    /// Tells the others that lines were overwritten.
    pub(super) fn end_edits(&self) -> io::Result<Changes> {
        let edits = self.changes()?.edits;
        self.file.write_all_at(&(edits | 1).wrapping_add(1).to_le_bytes(), 8)?;
        self.changes()
    }

    /// Returns true unless the lock's file was removed, and another process may hold another one.
    pub(super) fn is_current(&self, place: &Place) -> bool {
        let named = stat(&place.state.join("lock")).ok().flatten();
        named.map(|metadata| FileKey::of(&metadata)) == Some(self.key)
    }

    /// Tells the others that a process of the log, and no other program, has replaced the file at PATH.
    pub(super) fn tell_replaced(&self) -> io::Result<Changes> {
        let changes = self.changes()?;
        self.file.write_all_at(&changes.replaced.wrapping_add(1).to_le_bytes(), 40)?;
        self.tell_files()
    }

    /// Tells the others that the file at PATH was cut: what they know of its lines is no longer true.
    pub(super) fn tell_cut(&self) -> io::Result<Changes> {
        let changes = self.changes()?;
        self.file.write_all_at(&changes.cuts.wrapping_add(1).to_le_bytes(), 48)?;
        self.changes()
    }

    /// Tells the others to leave the file with this inode; 0: none.
    pub(super) fn tell_distrusted(&self, inode: u64) -> io::Result<()> {
        self.file.write_all_at(&inode.to_le_bytes(), 72)
    }

    /// Returns the day of the last append to the file with this inode, if it was noted.
    pub(super) fn day_of(&self, inode: u64) -> io::Result<Option<u64>> {
        let mut bytes = [0; 16];
        match self.file.read_exact_at(&mut bytes, 56) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let number = |n: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * n + byte]));
        Ok((number(0) == inode).then_some(number(1)))
    }

    /// Notes the day of an append to the file with this inode.
    pub(super) fn note_day(&self, inode: u64, day: u64) -> io::Result<()> {
        if self.day_of(inode)? == Some(day) {
            return Ok(());
        }
        self.file.write_all_at([inode, day].map(u64::to_le_bytes).as_flattened(), 56)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that forks without `exec` shares its open files with the child, as a duplicate does.
    #[test]
    fn a_released_lock_is_free_though_another_process_has_its_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::resolve(&folder.path().join("audit.jsonl")).unwrap();
        let held = Held::alone(&place, Duration::ZERO, "test").unwrap();
        let shared = held.file.try_clone().unwrap();
        assert!(Held::alone(&place, Duration::ZERO, "test").is_err(), "it is held");
        drop(held);
        Held::alone(&place, Duration::ZERO, "test").unwrap();
        drop(shared);
    }
}
