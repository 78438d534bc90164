//! A segment: a file of frames that only grows until all of them are shipped.
//!
//! Its first line has the length of the durable frames of the segment before it: so a frame that was damaged on the disk is told
//! from one that a dying process did not finish.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::Frame;
use crate::store::files::{FileKey, give_to_owner_of, private, stat, sync_folder};

/// A segment of a folder.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// Open, so that a file that someone deletes can still be shipped.
    pub(super) file: Arc<File>,
    /// The bytes that can hold frames: of this process's own segment, those that were acknowledged.
    pub(super) len: u64,
    /// The bytes that were durable once, as far as is known.
    pub(super) durable: u64,
}

/// A failed write.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) cause: io::Error,
    /// True if the segment may have bytes behind its durable ones: it must not be written again.
    pub(super) is_spent: bool,
}

impl Segment {
    /// Makes a segment with its first frame, durable.
    pub(super) fn create(folder: &Path, number: u64, previous_len: u64, first: &Frame) -> io::Result<Self> {
        let path = folder.join(name_of(number));
        let file = private().read(true).write(true).create_new(true).open(&path)?;
        give_to_owner_of(folder, &file);
        let written = file
            .write_all_at(format!("{PREFIX}{previous_len:020}\n").as_bytes(), 0)
            .and_then(|()| file.write_all_at(&first.bytes, FIRST_FRAME))
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(folder));
        if let Err(error) = written {
            // One that stays has an event too many: nobody was told that it is kept. The append after the next takes another name.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        let len = FIRST_FRAME + first.bytes.len() as u64;
        Ok(Self { number, path, file: Arc::new(file), len, durable: len })
    }

    /// Writes a frame at the end and makes it durable. On failure, cuts the file back.
    ///
    /// After a failed sync the system forgets which pages are not on the disk (fsyncgate): the segment is spent.
    pub(super) fn append(&self, frame: &Frame) -> Result<u64, WriteError> {
        let cut = || self.file.set_len(self.len).and_then(|()| self.file.sync_data());
        if let Err(cause) = self.file.write_all_at(&frame.bytes, self.len) {
            return Err(WriteError { cause, is_spent: cut().is_err() });
        }
        match self.file.sync_data() {
            Ok(()) => Ok(self.len + frame.bytes.len() as u64),
            Err(cause) => {
                // The head of the next segment says how long this one is, whatever stays in it.
                let _ = cut();
                Err(WriteError { cause, is_spent: true })
            }
        }
    }

    /// Returns true if the file is still at its path, and no shorter than `len`.
    pub(super) fn is_in_place(&self, len: u64) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        let named = stat(&self.path)?.map(|metadata| FileKey::of(&metadata));
        Ok(metadata.len() >= len && named == Some(FileKey::of(&metadata)))
    }

    /// The number of the newest segment of a folder.
    pub(super) fn newest_number(folder: &Path) -> io::Result<Option<u64>> {
        let mut newest = None;
        for entry in std::fs::read_dir(folder)? {
            newest = newest.max(number_of(&entry?.file_name()));
        }
        Ok(newest)
    }

    /// Opens the segments of a folder, in their order.
    pub(super) fn open_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            let Some(number) = number_of(&name) else { continue };
            let path = folder.join(&name);
            let file = match File::options().read(true).write(true).open(&path) {
                // Its events are shipped.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let len = file.metadata()?.len();
            found.push(Self { number, path, file: Arc::new(file), len, durable: 0 });
        }
        found.sort_by_key(|segment| segment.number);
        for next in 1..found.len() {
            if let Some(durable) = found[next].previous_len()? {
                found[next - 1].durable = durable;
            }
        }
        Ok(found)
    }

    /// The length of the durable frames of the segment before this one, as it was when this one was made. `None` if the line that
    /// says so is damaged or was not finished.
    fn previous_len(&self) -> io::Result<Option<u64>> {
        if self.len < FIRST_FRAME {
            return Ok(None);
        }
        let mut line = [0; FIRST_FRAME as usize];
        self.file.read_exact_at(&mut line, 0)?;
        let text = std::str::from_utf8(&line).ok();
        let digits = text.and_then(|text| text.strip_prefix(PREFIX)?.strip_suffix('\n'));
        Ok(digits.and_then(|digits| digits.parse().ok()))
    }

    /// Cuts away what was never acknowledged.
    pub(super) fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_data()?;
        self.len = len;
        Ok(())
    }
}

/// The name of a segment's file.
pub(super) fn name_of(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

fn number_of(name: &OsStr) -> Option<u64> {
    name.to_str()?.strip_suffix(SUFFIX)?.parse().ok()
}

/// The place of the first frame.
pub(super) const FIRST_FRAME: u64 = (PREFIX.len() + 21) as u64;
const PREFIX: &str = "#tower-audit spool 1 ";
const SUFFIX: &str = ".segment";
