//! The write-ahead log as a file: it says which index (`-shm`) counts its frames.
//!
//! SQLite holds no lock on the log, so a descriptor of our own does no harm, and shows a log that has lost its name. The format
//! is SQLite's: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::file_key::FileKey;

/// An open write-ahead log.
#[derive(Debug)]
pub(super) struct WalFile {
    file: File,
    id: FileKey,
}

/// The first bytes of a log that has frames.
struct Header {
    page_bytes: u64,
    /// SQLite counts it up when it begins the log anew.
    sequence: u32,
    /// Every frame that counts has them too.
    salts: [u8; 8],
}

impl WalFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let id = FileKey::of(&file.metadata()?);
        lock_open().push(id);
        Ok(Self { file, id })
    }

    pub(super) fn id(&self) -> FileKey {
        self.id
    }

    /// Counts the descriptors of this kind that the process has of a log.
    pub(super) fn count(id: FileKey) -> usize {
        lock_open().iter().filter(|open| **open == id).count()
    }

    /// Returns true if a transaction ends with this frame; the first is 1. An index that counts so many frames can be this
    /// log's.
    pub(super) fn ends_with(&self, frame: u64) -> io::Result<bool> {
        let Some(header) = self.header()? else { return Ok(false) };
        Ok(self.frame(&header, frame)?.is_some_and(|head| head[4..8] != [0; 4]))
    }

    /// Returns true if the log has a frame after this one.
    pub(super) fn goes_on_after(&self, frame: u64) -> io::Result<bool> {
        let Some(header) = self.header()? else { return Ok(false) };
        Ok(self.frame(&header, frame + 1)?.is_some())
    }

    /// Returns true if the log has all of these frames, with these salts.
    pub(super) fn has_frames(&self, frames: RangeInclusive<u64>, salts: [u8; 8]) -> io::Result<bool> {
        if frames.is_empty() {
            return Ok(true);
        }
        let Some(header) = self.header()?.filter(|header| header.salts == salts) else { return Ok(false) };
        for frame in frames {
            if self.frame(&header, frame)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns true if this log was begun after the other, of the same index. Nothing follows a log that goes on.
    pub(super) fn follows(&self, other: &Self) -> io::Result<bool> {
        Ok(match (self.header()?, other.header()?) {
            (Some(this), Some(other)) => this.sequence > other.sequence,
            (this, None) => this.is_some(),
            (None, Some(_)) => false,
        })
    }

    /// Returns true if it has no frames: a checkpoint has emptied it.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.header()?.is_none())
    }

    fn header(&self) -> io::Result<Option<Header>> {
        let Some(head) = self.read::<HEADER_BYTES>(0)? else { return Ok(None) };
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if number(0) & !1 != MAGIC {
            return Ok(None);
        }
        let salts = std::array::from_fn(|byte| head[16 + byte]);
        Ok(Some(Header { page_bytes: number(8).into(), sequence: number(12), salts }))
    }

    /// Returns the head of a frame that counts: page, pages of the database if it ends a transaction, salts, checksums.
    fn frame(&self, header: &Header, frame: u64) -> io::Result<Option<[u8; FRAME_BYTES]>> {
        let Some(before) = frame.checked_sub(1) else { return Ok(None) };
        let at = HEADER_BYTES as u64 + before * (FRAME_BYTES as u64 + header.page_bytes);
        Ok(self.read::<FRAME_BYTES>(at)?.filter(|head| head[8..16] == header.salts))
    }

    /// Reads bytes; `None` if the file ends before.
    fn read<const N: usize>(&self, at: u64) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match read_at(&self.file, &mut bytes, at) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for WalFile {
    fn drop(&mut self) {
        let mut open = lock_open();
        if let Some(place) = open.iter().position(|id| *id == self.id) {
            open.swap_remove(place);
        }
    }
}

fn lock_open() -> MutexGuard<'static, Vec<FileKey>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The logs that are open.
static OPEN: Mutex<Vec<FileKey>> = Mutex::new(Vec::new());

/// Fills the buffer from this place of the file.
#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

const HEADER_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;
/// Its last bit is the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;
