//! Names: the file, its rotated files, and the folder of its state.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::event::Timestamp;
use crate::store::files::give;
pub(super) use crate::store::files::{FileKey, give_to_owner_of, private, stat, sync_folder};
use crate::store::resolved_path::resolved_path;

/// The places of a log's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, without symbolic links.
    pub(super) file: PathBuf,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The folder of locks and indexes.
    pub(super) state: PathBuf,
}

/// The kind of a file of the log, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Active,
    /// Rotated by this store: its number.
    Rotated(u64, Form),
    /// Rotated by another program.
    Foreign(Form),
}

/// The form of a rotated file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Gzip,
    /// Compressed in a way that this store does not read.
    Other,
}

impl Place {
    /// Resolves symbolic links. A file that does not exist yet is named within its resolved folder.
    pub(super) fn resolve(path: &Path) -> io::Result<Self> {
        let file = resolved_path(path)?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let mut state = file.clone().into_os_string();
        state.push(".state");
        Ok(Self { file, folder, state: state.into() })
    }

    /// Returns the kind of a file in the folder; `None` for one that is none of the log's.
    pub(super) fn kind(&self, name: &OsStr) -> Option<Kind> {
        kind_of(self.file.file_name()?, name)
    }

    /// Returns true for a file that logrotate has moved aside, because it was where logrotate was about to make one.
    pub(super) fn is_moved_aside(&self, name: &OsStr) -> bool {
        name.as_bytes().ends_with(MOVED_ASIDE) && matches!(self.kind(name), Some(Kind::Foreign(_)))
    }

    /// The name of the rotated file with this number.
    pub(super) fn rotated(&self, at: Timestamp, number: u64) -> PathBuf {
        let text = at.to_string();
        let digits: String = text.get(..19).unwrap_or(&text).chars().filter(|c| !matches!(c, '-' | ':')).collect();
        with_suffix(&self.file, &format!(".{digits}Z-{number:06}"))
    }

    /// Makes the folder of the state, readable by its owner alone.
    pub(super) fn make_state(&self) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(&self.state) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                let newest = fs::metadata(&self.file).ok().or_else(|| self.newest_rotated());
                if let Some(owner) = newest.or_else(|| fs::metadata(&self.folder).ok()) {
                    give(&File::open(&self.state)?, &owner);
                }
                self.sync_folder()
            }
        }
    }

    /// Gives a new file of the state to the owner of the log: one made by root would be closed to the app.
    pub(super) fn give_to_owner(&self, file: &File) {
        give_to_owner_of(&self.state, file);
    }

    /// Gives a new file at PATH to the owner of the files before it, else to that of the state or of the folder.
    pub(super) fn give_to_owner_of_rotated(&self, file: &File) {
        match self.newest_rotated() {
            Some(owner) => give(file, &owner),
            None if self.state.is_dir() => give_to_owner_of(&self.state, file),
            None => give_to_owner_of(&self.folder, file),
        }
    }

    fn newest_rotated(&self) -> Option<Metadata> {
        let entries = fs::read_dir(&self.folder).ok()?.flatten();
        let rotated = entries
            .filter(|entry| matches!(self.kind(&entry.file_name()), Some(Kind::Rotated(..) | Kind::Foreign(_))))
            .filter_map(|entry| entry.metadata().ok().filter(Metadata::is_file));
        rotated.max_by_key(|metadata| (metadata.mtime(), metadata.mtime_nsec()))
    }

    /// Makes entries of the folder durable.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }
}

/// Returns the kind of a file beside the log of the name `own`; `None` for one that is none of that log's.
pub(super) fn kind_of(own: &OsStr, name: &OsStr) -> Option<Kind> {
    let rest = name.as_bytes().strip_prefix(own.as_bytes())?;
    if rest.is_empty() {
        return Some(Kind::Active);
    }
    let is_number = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    if let Some(stem) = rest.strip_suffix(MOVED_ASIDE) {
        // `-2026052512.backup`, with the hour.
        let is_foreign = stem.strip_prefix(b"-").is_some_and(|hour| hour.len() == 10 && is_number(hour));
        return is_foreign.then_some(Kind::Foreign(Form::Plain));
    }
    let (stem, form) = match rest.strip_suffix(b".gz") {
        Some(stem) => (stem, Form::Gzip),
        None => {
            let other = [".bz2", ".xz", ".zst", ".lz4", ".Z"].iter().find_map(|end| rest.strip_suffix(end.as_bytes()));
            other.map_or((rest, Form::Plain), |stem| (stem, Form::Other))
        }
    };
    let (separator, stem) = stem.split_first()?;
    if *separator == b'.'
        && let Some((time, number)) = stem.split_at_checked(16).filter(|(time, _)| time.ends_with(b"Z"))
        && is_number(&time[..8])
        && let Some(digits) = number.strip_prefix(b"-").filter(|digits| is_number(digits))
    {
        return Some(Kind::Rotated(std::str::from_utf8(digits).ok()?.parse().ok()?, form));
    }
    let is_foreign = matches!(separator, b'.' | b'-')
        && stem.first().is_some_and(u8::is_ascii_digit)
        && stem.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'_' | b'.' | b'T' | b'Z'));
    is_foreign.then_some(Kind::Foreign(form))
}

/// Appends a suffix to the file's name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The end of the name that logrotate gives to a file where it was about to make one.
const MOVED_ASIDE: &[u8] = b".backup";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_log_are_told_by_their_names() {
        let path = Path::new("/var/log/app/audit.jsonl");
        let place =
            Place { file: path.into(), folder: "/var/log/app".into(), state: "/var/log/app/audit.jsonl.state".into() };
        for (name, kind) in [
            ("audit.jsonl", Some(Kind::Active)),
            ("audit.jsonl.20260525T120000Z-000042", Some(Kind::Rotated(42, Form::Plain))),
            ("audit.jsonl.20260525T120000Z-1000042.gz", Some(Kind::Rotated(1_000_042, Form::Gzip))),
            ("audit.jsonl.1", Some(Kind::Foreign(Form::Plain))),
            ("audit.jsonl.2.gz", Some(Kind::Foreign(Form::Gzip))),
            ("audit.jsonl-20260525", Some(Kind::Foreign(Form::Plain))),
            ("audit.jsonl-20260525.xz", Some(Kind::Foreign(Form::Other))),
            ("audit.jsonl-2026052512.backup", Some(Kind::Foreign(Form::Plain))),
            ("audit.jsonl-20260525.backup", None),
            ("audit.jsonl.1.gz-2026052512.backup", None),
            ("audit.jsonl.backup", None),
            ("audit.jsonl.state", None),
            ("audit.jsonl.bak", None),
            ("audit.jsonl2", None),
            ("audit.jsonl.", None),
            ("other.jsonl.1", None),
        ] {
            assert_eq!(place.kind(OsStr::new(name)), kind, "{name}");
        }
        let at = "2026-05-25T12:00:00.5Z".parse().unwrap();
        assert_eq!(place.rotated(at, 7), Path::new("/var/log/app/audit.jsonl.20260525T120000Z-000007"));
    }
}
