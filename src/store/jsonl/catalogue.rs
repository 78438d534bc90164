//! The files of a log and their indexes, in memory.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::sync::Arc;

use super::append_lock::Changes;
use super::file_index::FileIndex;
use super::line::{self, Head, Line};
use super::line_reader::LineReader;
use super::log_file::{BUFFER_BYTES, LogFile, Stamp, next_serial};
use super::place::{FileKey, Form, Kind, Place, stat};

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
    pub(super) unread: Vec<std::ffi::OsString>,
    /// Rotated files that this user may not read.
    pub(super) denied: Vec<std::ffi::OsString>,
    /// Files of other programs that are too large to be indexed while an append waits.
    pub(super) unindexed: Vec<std::ffi::OsString>,
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
        let active = stat(&self.place.file)?;
        let is_same = self.active.as_ref().map(|file| file.stamp.key) == active.as_ref().map(FileKey::of);
        if is_same && !self.must_look && self.seen == Some((changes, folder)) {
            return Ok(());
        }
        let was_edited = match (&self.seen, changes) {
            (Some((Some(seen), _)), Some(now)) => seen.edits != now.edits,
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
        self.list(active.map(|metadata| Stamp::of(&metadata)), edits)?;
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

    fn list(&mut self, active: Option<Stamp>, edits: Edits) -> io::Result<()> {
        let mut known: HashMap<FileKey, LogFile> =
            self.rotated.drain(..).chain(self.active.take()).map(|file| (file.stamp.key, file)).collect();
        self.unread.clear();
        self.denied.clear();
        self.unindexed.clear();
        self.active = active.map(|stamp| {
            match known.remove(&stamp.key) {
                // Open here, or in the writer: so its inode is not that of another file by now.
                Some(file) if file.kind == Kind::Active => LogFile { stamp, ..file },
                _ => LogFile {
                    path: self.place.file.clone(),
                    kind: Kind::Active,
                    stamp,
                    index: Arc::default(),
                    serial: next_serial(),
                    is_exact: true,
                },
            }
        });
        if self.opened.as_ref().map(|(key, _)| *key) != self.active.as_ref().map(|file| file.stamp.key) {
            self.opened = None;
        }
        let mut found = Vec::new();
        let mut plain = HashSet::new();
        for entry in fs::read_dir(&self.place.folder)? {
            let name = entry?.file_name();
            match self.place.kind(&name) {
                Some(Kind::Rotated(_, Form::Other) | Kind::Foreign(Form::Other)) => self.unread.push(name),
                Some(kind @ (Kind::Rotated(_, form) | Kind::Foreign(form))) => {
                    if form == Form::Plain {
                        plain.insert(name.clone());
                    }
                    found.push((name, kind));
                }
                Some(Kind::Active) | None => {}
            }
        }
        for (name, kind) in found {
            // While a file is compressed, or after a crash then, both are there.
            if name
                .to_str()
                .and_then(|name| name.strip_suffix(".gz"))
                .is_some_and(|name| plain.contains(std::ffi::OsStr::new(name)))
            {
                continue;
            }
            let path = self.place.folder.join(&name);
            let Some(metadata) = stat(&path)?.filter(|metadata| metadata.is_file()) else { continue };
            let stamp = Stamp::of(&metadata);
            if self.active.as_ref().is_some_and(|active| active.stamp.key == stamp.key) {
                continue;
            }
            let file = match known.remove(&stamp.key) {
                Some(file)
                    if file.kind == Kind::Active
                        && (file.index.len == stamp.size || self.distrusted == Some(stamp.key)) =>
                {
                    Ok(LogFile { path, kind, stamp, ..file })
                }
                Some(file) if file.kind != Kind::Active && file.stamp == stamp => Ok(LogFile { path, kind, ..file }),
                Some(file) if file.is_plain() && file.stamp.size == stamp.size && edits == Edits::Tolerated => {
                    Ok(LogFile { path, kind, stamp, is_exact: false, ..file })
                }
                _ => match LogFile::load(&path, kind, stamp, &self.place.state) {
                    Some(file) => Ok(file),
                    None if edits == Edits::Tolerated && stamp.size > MAX_SCANNED_BYTES => {
                        self.unindexed.push(name);
                        continue;
                    }
                    None => LogFile::scan(&path, kind, stamp, &self.place.state),
                },
            };
            match file {
                Ok(file) => self.rotated.push(file),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => self.denied.push(name),
                Err(error) => return Err(error),
            }
        }
        self.rotated.sort_by_key(|file| file.path.clone());
        Ok(())
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

/// The size up to which a file is indexed while an append waits: some 50 ms.
const MAX_SCANNED_BYTES: u64 = 4 << 20;

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
