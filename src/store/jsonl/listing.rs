//! The list of the log's files, with the indexes of those that are known already.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::catalogue::{Catalogue, Edits};
use super::error::is_of_one_file;
use super::file_layout::{FileKey, Form, Kind, kind_of, stat};
use super::log_file::{LogFile, Stamp};

/// A rotated file, as it was found.
struct Found {
    path: PathBuf,
    kind: Kind,
    stamp: Stamp,
}

impl Catalogue {
    /// Lists the files. An archive that fails is left out, or stands for one event; it keeps no other from being listed.
    pub(super) fn list(&mut self, active: Option<Stamp>, edits: Edits, was_edited: bool) -> io::Result<()> {
        let mut known: HashMap<FileKey, LogFile> =
            self.rotated.drain(..).chain(self.active.take()).map(|file| (file.stamp.key, file)).collect();
        self.unread.clear();
        self.denied.clear();
        self.unindexed.clear();
        self.failed.clear();
        self.active = active.map(|stamp| match known.remove(&stamp.key) {
            // Open here, or in the writer: so its inode is not that of another file by now.
            Some(file) if file.kind == Kind::Active => LogFile { stamp, ..file },
            _ => LogFile::active(&self.place.file, stamp),
        });
        self.forget_opened();
        for (name, kind) in self.names()? {
            let path = self.place.folder.join(&name);
            let stamp = match stat(&path) {
                Ok(Some(metadata)) if metadata.is_file() => Stamp::of(&metadata),
                Ok(_) => continue,
                Err(error) if is_of_one_file(&error) => {
                    self.failed.push((name, error.to_string()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.active.as_ref().is_some_and(|active| active.stamp.key == stamp.key) {
                continue;
            }
            let found = Found { path, kind, stamp };
            match self.file_of(&found, known.remove(&stamp.key), edits, was_edited) {
                Ok(Some(file)) => self.rotated.push(file),
                Ok(None) => self.unindexed.push((name, stamp.key)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => self.denied.push(name),
                Err(error) if is_of_one_file(&error) => {
                    self.failed.push((name, error.to_string()));
                    if edits == Edits::Indexed {
                        self.rotated.push(LogFile::failed(&found.path, kind, stamp, &error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.rotated.sort_by_key(|file| file.path.clone());
        self.retry_at = (!self.failed.is_empty()).then(|| Instant::now() + RETRY_TIME);
        Ok(())
    }

    /// The names of rotated files.
    fn names(&mut self) -> io::Result<Vec<(OsString, Kind)>> {
        let mut names = Vec::new();
        self.neighbours.clear();
        for entry in fs::read_dir(&self.place.folder)? {
            let name = entry?.file_name();
            if let Some(other) = name.as_bytes().strip_suffix(b".state").map(OsStr::from_bytes)
                && matches!(self.place.kind(other), Some(Kind::Rotated(..) | Kind::Foreign(_)))
                && self.place.folder.join(&name).join("lock").is_file()
            {
                self.neighbours.push(other.to_owned());
            }
            names.push(name);
        }
        let (mut found, mut plain) = (Vec::new(), HashSet::new());
        for name in names {
            if self.neighbours.iter().any(|other| kind_of(other, &name).is_some()) {
                continue;
            }
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
        // While a file is compressed, or after a crash then, both are there.
        found.retain(|(name, _)| {
            !name
                .as_bytes()
                .strip_suffix(b".gz")
                .is_some_and(|plain_name| plain.contains(OsStr::from_bytes(plain_name)))
        });
        Ok(found)
    }

    /// Returns the file with its index, or `None` if it takes too long to index it.
    fn file_of(
        &self,
        found: &Found,
        known: Option<LogFile>,
        edits: Edits,
        was_edited: bool,
    ) -> io::Result<Option<LogFile>> {
        let Found { path, kind, stamp } = found;
        let renamed = |file: LogFile| LogFile { path: path.clone(), kind: *kind, stamp: *stamp, ..file };
        let is_tolerated = edits == Edits::Tolerated;
        match known {
            // Lines behind its index do not count.
            Some(file) if file.kind == Kind::Active && self.distrusted == Some(stamp.key) => Ok(Some(renamed(file))),
            Some(file)
                if file.kind == Kind::Active
                    && (is_tolerated || !was_edited)
                    && file.index.len <= stamp.size
                    && (!is_tolerated || stamp.size - file.index.len <= MAX_SCANNED_BYTES) =>
            {
                let mut file = renamed(file);
                file.is_exact &= !was_edited;
                file.index_rest()?;
                Ok(Some(file))
            }
            Some(file) if file.kind != Kind::Active && file.stamp == *stamp && file.failure.is_none() => {
                Ok(Some(renamed(file)))
            }
            Some(file)
                if file.kind != Kind::Active
                    && file.is_plain()
                    && file.stamp.size == stamp.size
                    && file.failure.is_none()
                    && is_tolerated =>
            {
                Ok(Some(LogFile { is_exact: false, ..renamed(file) }))
            }
            _ => match LogFile::load(path, *kind, *stamp, &self.place.state) {
                Some(file) => Ok(Some(file)),
                None if is_tolerated && stamp.size > MAX_SCANNED_BYTES => Ok(None),
                None => LogFile::scan(path, *kind, *stamp, &self.place.state).map(Some),
            },
        }
    }
}

/// The size up to which a file is indexed while an append waits: some 50 ms.
const MAX_SCANNED_BYTES: u64 = 4 << 20;
/// The pause before an archive that failed is read again.
const RETRY_TIME: Duration = Duration::from_secs(30);
