//! A spool's directory as an operator looks at it: backlogs and dead letters.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Limits;
use super::dead_letter::{DeadLetter, DeadLetters};
use super::error::{DuringOperation as _, OPENING, blocking, config};
use super::frame::Frame;
use super::journal::{Journal, Waiting};
use super::process_folder::ProcessFolder;
use super::summary::summarize;
use crate::event::{AuditEvent, Timestamp};
use crate::store::StoreError;

/// The directory of a spool, without its target: for an operator's look at what waits in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_audit::store::spool::SpoolDirectory;
///
/// let folder = tempfile::tempdir()?;
/// let spool = SpoolDirectory::open(folder.path()).await?;
/// assert!(spool.backlogs().await?.is_empty());
/// assert!(spool.dead_letters().await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SpoolDirectory {
    directory: PathBuf,
    letters: DeadLetters,
}

/// The events of one process that wait for the target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolBacklog {
    /// The name of the process's folder.
    pub folder: String,
    /// True if the process lives, or another one has adopted the folder.
    pub is_alive: bool,
    /// The number of events.
    pub events: u64,
    /// The bytes of these events.
    pub bytes: u64,
    /// The time at which the oldest was acknowledged.
    pub oldest: Option<Timestamp>,
}

impl SpoolDirectory {
    /// Names the directory of a spool. Changes nothing.
    ///
    /// # Errors
    /// If it is no folder.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let directory = std::path::absolute(directory.into()).during(OPENING)?;
        let path = directory.clone();
        if !blocking(OPENING, move || Ok(path.is_dir())).await? {
            return Err(config("the directory of the spool is not there: check the path"));
        }
        Ok(Self { letters: DeadLetters::of(&directory), directory })
    }

    /// Returns the backlog of each process, oldest folder first. Reads every frame that waits.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn backlogs(&self) -> Result<Vec<SpoolBacklog>, StoreError> {
        let directory = self.directory.clone();
        blocking(LISTING, move || {
            let mut found = Vec::new();
            for folder in ProcessFolder::list(&directory).during(LISTING)? {
                let summary = summarize(&folder).during(LISTING)?;
                found.push(SpoolBacklog {
                    folder: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    is_alive: summary.is_alive,
                    events: summary.events,
                    bytes: summary.bytes,
                    oldest: summary.oldest.and_then(Timestamp::from_micros),
                });
            }
            Ok(found)
        })
        .await
    }

    /// Returns the dead letters, in the order of their names: that of their events' times.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>, StoreError> {
        let letters = self.letters.clone();
        blocking(LISTING, move || {
            let mut found = Vec::new();
            for name in letters.names().during(LISTING)? {
                found.extend(letters.get(&name).during(LISTING)?);
            }
            Ok(found)
        })
        .await
    }

    /// Puts the events of these dead letters back into the spool, durably, and then deletes the letters. The running service ships them
    /// within seconds, or the next one that starts. Returns their number; letters without an event are left out.
    ///
    /// # Errors
    /// If a file cannot be read or written. Letters whose event is in the spool already may be there still: to repeat it is safe.
    pub async fn retry(&self, names: &[String]) -> Result<u64, StoreError> {
        const DOING: &str = "retrying dead letters";
        let (directory, letters, names) = (self.directory.clone(), self.letters.clone(), names.to_vec());
        blocking(DOING, move || {
            let mut taken: Vec<(String, AuditEvent)> = Vec::new();
            for name in names {
                if let Some(event) = letters.get(&name).during(DOING)?.and_then(|letter| letter.event) {
                    taken.push((name, event));
                }
            }
            let events: Vec<AuditEvent> = taken.iter().map(|(_, event)| event.clone()).collect();
            append(&directory, &events)?;
            for (name, _) in &taken {
                letters.remove(name).during(DOING)?;
            }
            Ok(taken.len() as u64)
        })
        .await
    }

    /// Deletes a dead letter and, before that, puts `record` into the spool durably: the event that says what was deleted. Returns false,
    /// and records nothing, if there is no such letter.
    ///
    /// # Errors
    /// If a file cannot be written. Then the letter may be there still.
    pub async fn drop_letter(&self, name: &str, record: AuditEvent) -> Result<bool, StoreError> {
        const DOING: &str = "dropping a dead letter";
        let (directory, letters, name) = (self.directory.clone(), self.letters.clone(), name.to_owned());
        blocking(DOING, move || {
            if !letters.exists(&name) {
                return Ok(false);
            }
            append(&directory, &[record])?;
            letters.remove(&name).during(DOING)
        })
        .await
    }
}

/// Appends events durably to a folder of their own, which is then free to be adopted.
fn append(directory: &Path, events: &[AuditEvent]) -> Result<(), StoreError> {
    for part in events.chunks(FRAME_EVENTS) {
        let folder = Arc::new(ProcessFolder::of_program(directory));
        let mut journal = Journal::new(Arc::clone(&folder), Limits::default(), Arc::default());
        let appended = journal.append(&Frame::encode(part)?, &[], Waiting { events: 0, bytes: 0 });
        journal.close();
        folder.release();
        if appended.is_err() {
            // Nothing in it is acknowledged.
            let _ = fs::remove_dir_all(&folder.path);
        }
        appended?;
    }
    Ok(())
}

const LISTING: &str = "listing the spool";
const FRAME_EVENTS: usize = 1000;
