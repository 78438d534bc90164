//! A rotated file written anew: compressed, or without some of its events.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression as Level;
use flate2::write::GzEncoder;

use super::append_lock::Held;
use super::file_index::FileIndex;
use super::file_layout::{FileKey, Form, Kind, Place, private, stat};
use super::line::{self, Head, Line};
use super::line_reader::LineReader;
use super::log_file::{LogFile, Stamp, remove_compressed_copy};
use super::rlimit_fsize::check_size;
use crate::event::EventId;
use crate::random::random;

/// A file that takes the place of another when it is whole.
pub(super) struct Rewriting {
    source: LogFile,
    lines: LineReader<Box<dyn BufRead + Send>>,
    temporary: PathBuf,
    target: File,
    is_compressed: bool,
    index: FileIndex,
    /// The lines of the last block.
    buffer: Vec<u8>,
    /// The number of bytes in the target.
    written: u64,
    removed: HashSet<EventId>,
}

impl std::fmt::Debug for Rewriting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rewriting").field("written", &self.written).finish_non_exhaustive()
    }
}

impl Rewriting {
    /// Begins to write the file anew, in the folder of the state.
    pub(super) fn begin(place: &Place, source: LogFile, is_compressed: bool) -> io::Result<Self> {
        let lines = LineReader::for_copy(source.open()?);
        let temporary = place.state.join(format!("rewrite-{:016x}.tmp", random()));
        let target = private().write(true).create_new(true).open(&temporary)?;
        // Whoever may read the file may read the new one.
        target.set_permissions(fs::metadata(&source.path)?.permissions())?;
        place.give_to_owner(&target);
        Ok(Self {
            index: source.index.for_copy(),
            source,
            lines,
            temporary,
            target,
            is_compressed,
            buffer: Vec::new(),
            written: 0,
            removed: HashSet::new(),
        })
    }

    /// Writes about one block. Returns true if there is more.
    pub(super) fn step(&mut self, is_removed: &dyn Fn(&Head) -> bool) -> io::Result<bool> {
        let blocks = self.index.blocks.len();
        while let Some(raw) = self.lines.next()? {
            if raw.is_cut() {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a line is too long to be copied"));
            }
            if !raw.is_whole {
                // A torn line stays as it is: the end of the file.
                self.buffer.extend_from_slice(raw.bytes);
                continue;
            }
            let mut parsed = line::parse(raw.bytes, self.index.otherwise());
            let mut bytes = raw.bytes.to_vec();
            if let Line::Event(head) = parsed
                && is_removed(&head)
            {
                self.removed.insert(head.event_id);
                let Some(id) = head.ended else { continue };
                let Some(place) = line::ended_line(id, ENDED_BYTES) else { continue };
                (bytes, parsed) = (place, Line::Ended(id));
            }
            if parsed == Line::Blank {
                continue;
            }
            bytes.push(b'\n');
            let before = self.index.blocks.len();
            let number = self.index.push(bytes.len() as u64, &parsed);
            if number >= before && before > 0 {
                self.flush(before - 1)?;
            }
            self.buffer.extend_from_slice(&bytes);
            if self.index.blocks.len() > blocks + 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes everything that is left, and puts the file in the source's place under the lock of the log. Returns the new
    /// file, or `None` if the source has changed meanwhile.
    pub(super) fn finish(
        mut self,
        place: &Place,
        hold: impl FnOnce() -> io::Result<Held>,
    ) -> io::Result<Option<(LogFile, HashSet<EventId>, Held)>> {
        if let Some(last) = self.index.blocks.len().checked_sub(1) {
            self.flush(last)?;
        }
        self.target.sync_all()?;
        let held = hold()?;
        if stat(&self.source.path)?.map(|metadata| Stamp::of(&metadata)) != Some(self.source.stamp) {
            return Ok(None);
        }
        let (path, kind) = self.new_name();
        // A compressed file that is there already was left by a process that died before it removed the plain one.
        remove_compressed_copy(&path, kind)?;
        fs::rename(&self.temporary, &path)?;
        place.sync_folder()?;
        if path != self.source.path {
            fs::remove_file(&self.source.path)?;
            place.sync_folder()?;
        }
        let stamp = Stamp::of(&self.target.metadata()?);
        let file = LogFile::new(&path, kind, stamp, std::mem::take(&mut self.index));
        file.save(&place.state);
        Ok(Some((file, std::mem::take(&mut self.removed), held)))
    }

    /// The name behind which the new file goes.
    fn new_name(&self) -> (PathBuf, Kind) {
        let kind = match self.source.kind {
            Kind::Rotated(number, Form::Plain) if self.is_compressed => Kind::Rotated(number, Form::Gzip),
            kind => return (self.source.path.clone(), kind),
        };
        (super::file_layout::with_suffix(&self.source.path, ".gz"), kind)
    }

    fn flush(&mut self, block: usize) -> io::Result<()> {
        let lines = std::mem::take(&mut self.buffer);
        let bytes = if self.is_compressed {
            let mut encoder = GzEncoder::new(Vec::new(), Level::default());
            encoder.write_all(&lines)?;
            encoder.finish()?
        } else {
            lines
        };
        check_size(self.written + bytes.len() as u64)?;
        self.target.write_all(&bytes)?;
        if self.is_compressed {
            self.index.blocks[block].member = Some((self.written, bytes.len() as u64));
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// The key of the source.
    pub(super) fn key(&self) -> FileKey {
        self.source.stamp.key
    }

    /// The path of the source.
    pub(super) fn source(&self) -> &Path {
        &self.source.path
    }
}

impl Drop for Rewriting {
    fn drop(&mut self) {
        // After a rename there is none.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The length of `{"ended":"…"}`.
const ENDED_BYTES: usize = 45;
