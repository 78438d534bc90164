//! Dead letters: events that the target refuses for good, kept with the reason.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::progress::Position;
use crate::event::{AuditEvent, Timestamp};
use crate::random::random;
use crate::store::files::{give_to_owner_of, private, sync_folder};

/// An event that the target refused for good, or bytes of the spool that are damaged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The name of its file: the event's id, or the place of the damaged bytes.
    #[serde(skip)]
    pub name: String,
    /// The time at which it was set aside.
    pub at: Timestamp,
    /// The reason, as the target gave it.
    pub reason: String,
    /// The event; none if the bytes cannot be read as one. Then they are in the field `text` of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<AuditEvent>,
    /// The bytes that cannot be read as an event, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The dead letters of a spool.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters(PathBuf);

impl DeadLetters {
    pub(crate) fn of(directory: &Path) -> Self {
        Self(directory.join("dead-letters"))
    }

    /// Keeps an event, durably. One that is there already is replaced.
    pub(crate) fn add_event(&self, event: AuditEvent, reason: String) -> io::Result<()> {
        let name = event.event_id.to_string();
        self.add(&DeadLetter { name, at: Timestamp::now(), reason, event: Some(event), text: None })
    }

    /// Keeps bytes that cannot be read, durably.
    pub(super) fn add_bytes(&self, folder: &Path, at: Position, bytes: &[u8], reason: String) -> io::Result<()> {
        let folder = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{folder}-{}-{}", at.segment, at.offset);
        let text = Some(String::from_utf8_lossy(bytes).into_owned());
        self.add(&DeadLetter { name, at: Timestamp::now(), reason, event: None, text })
    }

    /// Keeps a line that is no event, durably. One of this name that is there already is replaced.
    #[cfg(feature = "nats")]
    pub(crate) fn add_text(&self, name: String, text: String, reason: String) -> io::Result<()> {
        self.add(&DeadLetter { name, at: Timestamp::now(), reason, event: None, text: Some(text) })
    }

    fn add(&self, letter: &DeadLetter) -> io::Result<()> {
        self.make()?;
        let path = self.path(&letter.name);
        let temporary = path.with_extension(format!("{:016x}.tmp", random()));
        let file = private().write(true).create_new(true).open(&temporary)?;
        give_to_owner_of(&self.0, &file);
        let written = serde_json::to_vec(letter)
            .map_err(io::Error::from)
            .and_then(|text| (&file).write_all(&text))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            // A file with a temporary name is read by nobody.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        sync_folder(&self.0)
    }

    fn make(&self) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => {
                made?;
                let directory = self.0.parent().unwrap_or(Path::new("/"));
                give_to_owner_of(directory, &fs::File::open(&self.0)?);
                sync_folder(directory)
            }
        }
    }

    /// The names, oldest first.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Reads one. `None` if it is not there.
    pub(super) fn get(&self, name: &str) -> io::Result<Option<DeadLetter>> {
        let text = match fs::read(self.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let letter: DeadLetter =
            serde_json::from_slice(&text).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Some(DeadLetter { name: name.to_owned(), ..letter }))
    }

    /// Deletes one, durably. Returns false if it was not there.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            removed => removed?,
        }
        sync_folder(&self.0)?;
        Ok(true)
    }

    fn path(&self, name: &str) -> PathBuf {
        // A name is a file's, never a path.
        self.0.join(format!("{}{SUFFIX}", name.replace('/', "_")))
    }
}

const SUFFIX: &str = ".json";
