//! The index of the write-ahead log (`-shm`) as a file: it says how many frames of which log count.
//!
//! Closing a descriptor of the index drops all locks of the process on it, SQLite's too (fcntl(2), advisory locks). So a
//! process has one descriptor of each index, which stays open as long as anything else in it may have the index open. The format
//! is SQLite's: <https://sqlite.org/walformat.html#the_wal_index_file_format>.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::file_key::{FileKey, file_key};
use super::open_descriptors::count_open;
use super::wal_file::read_at;

/// An open index.
#[derive(Debug)]
pub(super) struct IndexFile(Arc<File>);

/// The first bytes of an index. Exact while the write lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexHeader {
    /// The number of frames of the log that count.
    pub(super) frames: u64,
    /// Those of the log's header, unless it has no frame.
    pub(super) salts: [u8; 8],
}

impl IndexFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(id, file)| Arc::strong_count(file) > 1 || !is_ours_alone(*id, file));
        let here = file_key(path).ok().flatten();
        if let Some((_, file)) = open.iter().find(|(id, _)| Some(*id) == here) {
            return Ok(Self(file.clone()));
        }
        let file = Arc::new(File::open(path)?);
        // Before anything that can fail: then it would be closed.
        let opened = Self(file.clone());
        match file.metadata() {
            Ok(metadata) => open.push((FileKey::of(&metadata), file)),
            Err(error) => {
                std::mem::forget(file);
                return Err(error);
            }
        }
        Ok(opened)
    }

    pub(super) fn id(&self) -> io::Result<FileKey> {
        Ok(FileKey::of(&self.0.metadata()?))
    }

    /// Reads the number of frames that are in the database already. Those of a log that was begun anew since are 0.
    pub(super) fn copied_frames(&self) -> io::Result<u64> {
        let mut bytes = [0; 4];
        read_at(&self.0, &mut bytes, 2 * HEADER_BYTES as u64)?;
        Ok(u32::from_ne_bytes(bytes).into())
    }

    /// Reads the header; `None` if it is being written, or has another format than this reads.
    pub(super) fn header(&self) -> io::Result<Option<IndexHeader>> {
        let mut both = [0; 2 * HEADER_BYTES];
        match read_at(&self.0, &mut both, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (head, copy) = both.split_at(HEADER_BYTES);
        let number = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if head != copy || number(0) != FORMAT {
            return Ok(None);
        }
        Ok(Some(IndexHeader { frames: number(16).into(), salts: std::array::from_fn(|byte| head[32 + byte]) }))
    }
}

/// Returns true if the index has no name any more, and nothing else in this process has it open.
fn is_ours_alone(id: FileKey, file: &File) -> bool {
    has_no_name(file) && count_open(id) == 1
}

#[cfg(unix)]
fn has_no_name(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 0)
}

#[cfg(not(unix))]
fn has_no_name(_file: &File) -> bool {
    false
}

/// The descriptors of this process.
static OPEN: Mutex<Vec<(FileKey, Arc<File>)>> = Mutex::new(Vec::new());

const HEADER_BYTES: usize = 48;
const FORMAT: u32 = 3_007_000;
