//! The files of a log and their indexes, in memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Instant;

use super::append_lock::Changes;
use super::file_index::FileIndex;
use super::file_layout::{FileKey, Kind, Place, stat};
use super::line::{self, Head, Line};
use super::line_reader::LineReader;
use super::log_file::{BUFFER_BYTES, LogFile, Stamp};

/// The treatment of lines that another process has overwritten, and of large files without an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edits {
    /// The old index says that an event may be there; large files are left out. For an append, which is not to wait.
    Tolerated,
    /// The files are indexed.
    Indexed,
}

/// The files of a log.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) place: Place,
    pub(super) active: Option<LogFile>,
    pub(super) rotated: Vec<LogFile>,
    /// Files in a form that is not read.
    pub(super) unread: Vec<OsString>,
    /// Rotated files that this user may not read.
    pub(super) denied: Vec<OsString>,
    /// Files of other programs that are too large to be indexed while an append waits.
    pub(super) unindexed: Vec<(OsString, FileKey)>,
    /// Rotated files that cannot be read, and why.
    pub(super) failed: Vec<(OsString, String)>,
    /// Other logs whose names begin like those of this log's rotated files.
    pub(super) neighbours: Vec<OsString>,
    /// The time at which files that failed are read again.
    pub(super) retry_at: Option<Instant>,
    /// A file with lines behind its index that could be neither synced nor removed: they do not count.
    pub(super) distrusted: Option<FileKey>,
    seen: Option<(Option<Changes>, Stamp)>,
    /// True if the next refresh looks at the folder in any case.
    must_look: bool,
    /// The active file. While it is open, no other file has its inode.
    opened: Option<(FileKey, File)>,
}

impl Catalogue {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            active: None,
            rotated: Vec::new(),
            unread: Vec::new(),
            denied: Vec::new(),
            unindexed: Vec::new(),
            failed: Vec::new(),
            neighbours: Vec::new(),
            retry_at: None,
            distrusted: None,
            seen: None,
            must_look: false,
            opened: None,
        }
    }

    /// Looks for files that were made, renamed, replaced or removed since the last look. The active file's index is left
    /// to [`catch_up`](Self::catch_up).
    pub(super) fn refresh(&mut self, changes: Option<Changes>, edits: Edits) -> io::Result<()> {
        let folder = Stamp::of(&fs::metadata(&self.place.folder)?);
        let active = stat(&self.place.file)?.map(|metadata| Stamp::of(&metadata));
        if changes.is_none()
            && let (Some(known), Some(now)) = (&mut self.active, active)
            && known.stamp != now
        {
            // Nobody tells a reader without rights to the lock that lines were overwritten, and not only added.
            known.begin_again();
        }
        let is_same = self.active.as_ref().map(|file| file.stamp.key) == active.map(|stamp| stamp.key);
        let is_due = self.must_look
            || changes.is_some_and(Changes::is_editing)
            || self.retry_at.is_some_and(|at| at <= Instant::now());
        if is_same && !is_due && self.seen == Some((changes, folder)) {
            return Ok(());
        }
        let was_edited = match (&self.seen, changes) {
            (Some((seen, _)), Some(now)) => now.has_edits_since(*seen),
            _ => false,
        };
        let was_cut = match (&self.seen, changes) {
            (Some((Some(seen), _)), Some(now)) => seen.cuts != now.cuts,
            _ => false,
        };
        if was_cut && let Some(active) = &mut self.active {
            // It may be as long as before by now, with other lines.
            active.begin_again();
        }
        self.list(active, edits, was_edited)?;
        if was_edited && let Some(active) = &mut self.active {
            match edits {
                Edits::Tolerated => active.is_exact = false,
                Edits::Indexed => active.begin_again(),
            }
        }
        (self.seen, self.must_look) = (Some((changes, folder)), false);
        Ok(())
    }

    /// Takes note of a change that this catalogue has been told of already.
    pub(super) fn saw(&mut self, changes: Changes) {
        if let Some((seen, _)) = &mut self.seen {
            *seen = Some(changes);
        }
    }

    /// Makes the next refresh look at the folder.
    pub(super) fn forget_look(&mut self) {
        self.must_look = true;
    }

    /// The file with this key.
    pub(super) fn file_mut(&mut self, key: FileKey) -> Option<&mut LogFile> {
        self.active.iter_mut().chain(&mut self.rotated).find(|file| file.stamp.key == key)
    }

    /// Closes the file that was the active one.
    pub(super) fn forget_opened(&mut self) {
        if self.opened.as_ref().map(|(key, _)| *key) != self.active.as_ref().map(|file| file.stamp.key) {
            self.opened = None;
        }
    }

    /// Indexes the lines that were added to the active file, those before `until`. Calls `add` with the file's serial
    /// number and the number of the block of each event.
    /// Returns the number of bytes behind the last whole line.
    ///
    /// A file that has become shorter is indexed anew.
    pub(super) fn catch_up(
        &mut self,
        until: Option<u64>,
        add: &mut dyn FnMut(u64, &FileIndex, usize, &Head),
    ) -> io::Result<u64> {
        let Some(active) = &mut self.active else { return Ok(0) };
        if self.opened.as_ref().is_none_or(|(key, _)| *key != active.stamp.key) {
            let file = match File::open(&active.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
                file => file?,
            };
            if FileKey::of(&file.metadata()?) != active.stamp.key {
                return Ok(0);
            }
            self.opened = Some((active.stamp.key, file));
        }
        let Some((_, file)) = &self.opened else { return Ok(0) };
        let mut file = file;
        let stamp = Stamp::of(&file.metadata()?);
        active.stamp = stamp;
        if stamp.size < active.index.len {
            active.begin_again();
        }
        let end = until.map_or(stamp.size, |until| until.min(stamp.size));
        if end <= active.index.len {
            return Ok(0);
        }
        let index = Arc::make_mut(&mut active.index);
        file.seek(SeekFrom::Start(index.len))?;
        let new = io::Read::take(file, end - index.len);
        let mut reader = LineReader::new(BufReader::with_capacity(BUFFER_BYTES, new), index.len);
        while let Some(raw) = reader.next()? {
            if !raw.is_whole {
                break;
            }
            let line = line::parse(raw.bytes, index.otherwise());
            let block = index.push(raw.len, &line);
            if let Line::Event(head) = line {
                add(active.serial, index, block, &head);
            }
        }
        index.date_beginning(stamp.modified_at());
        Ok(end - index.len)
    }

    /// Every file, the active one first.
    pub(super) fn files(&self) -> impl Iterator<Item = &LogFile> {
        self.active.iter().chain(&self.rotated)
    }

    /// The greatest number of a rotated file.
    pub(super) fn last_number(&self) -> u64 {
        let number = |file: &LogFile| match file.kind {
            Kind::Rotated(number, _) => Some(number),
            Kind::Active | Kind::Foreign(_) => None,
        };
        self.rotated.iter().filter_map(number).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::event::{AuditEvent, EventType};

    /// A reader without rights to the folder of the state is told of nothing.
    #[test]
    fn lines_that_are_overwritten_are_noticed_without_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let lines: Vec<String> =
            (0..3).map(|_| serde_json::to_string(&AuditEvent::new(EventType::AUTH)).unwrap() + "\n").collect();
        fs::write(&path, lines.concat()).unwrap();
        let mut catalogue = Catalogue::new(Place::resolve(&path).unwrap());
        let mut events = || {
            catalogue.refresh(None, Edits::Indexed).unwrap();
            catalogue.catch_up(None, &mut |_, _, _, _| {}).unwrap();
            catalogue.files().map(|file| file.index.events()).sum::<u64>()
        };
        assert_eq!(events(), 3);
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&vec![b' '; lines[0].len() - 1], 0).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(events(), 2);
    }
}
