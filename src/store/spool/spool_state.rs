//! The parts of a spool that its store and its shipper share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};

use super::config::Limits;
use super::dead_letter::DeadLetters;
use super::journal::{Journal, Waiting};
use super::metrics::SpoolMetrics;
use super::process_folder::ProcessFolder;
use super::progress::{self, Position};
use super::status::SpoolStatus;
use super::target::Target;
use crate::event::Timestamp;
use crate::log_lines::log_line;

/// A spool of this process.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    pub(super) limits: Limits,
    pub(super) target: Target,
    pub(super) own: Arc<ProcessFolder>,
    pub(super) journal: Arc<tokio::sync::Mutex<Journal>>,
    /// The folders of dead processes that this one ships, oldest first.
    adopted: Mutex<Vec<Arc<ProcessFolder>>>,
    /// Held while folders are adopted or left, and while orphans are closed.
    pub(super) adoption: tokio::sync::Mutex<()>,
    pub(super) dead_letters: DeadLetters,
    pub(super) is_damaged: Arc<AtomicBool>,
    /// Asks the shipper to look for folders of dead processes now.
    pub(super) is_look_due: AtomicBool,
    /// Wakes the shipper.
    pub(super) wake: Notify,
    /// Asks the shipper to try the target again, though its pause is not over.
    pub(super) retry: Notify,
    pub(super) phase: watch::Sender<Phase>,
    /// Changes whenever something was shipped or has failed.
    pub(super) changed: watch::Sender<u64>,
    progress: Mutex<ShippingState>,
    pub(super) metrics: OnceLock<SpoolMetrics>,
}

/// The work that is asked of the shipper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Ship what this process has, then end.
    Draining,
    /// End after the append to the target that is under way.
    Stopped,
}

/// The state of the shipper.
#[derive(Debug, Clone, Default)]
pub(super) struct ShippingState {
    pub(super) dead_letters: u64,
    pub(super) target_error: Option<String>,
    /// The number of failures.
    pub(super) failures: u64,
    pub(super) shipped_at: Option<Timestamp>,
    /// False before the first start, and after the runtime of the shipper has ended.
    pub(super) is_running: bool,
}

impl Shared {
    pub(super) fn new(directory: PathBuf, limits: Limits, target: Target) -> Self {
        let own = Arc::new(ProcessFolder::new(&directory));
        let is_damaged = Arc::default();
        Self {
            journal: Arc::new(tokio::sync::Mutex::new(Journal::new(own.clone(), limits, Arc::clone(&is_damaged)))),
            dead_letters: DeadLetters::of(&directory),
            directory,
            limits,
            target,
            own,
            adopted: Mutex::default(),
            adoption: tokio::sync::Mutex::default(),
            is_damaged,
            is_look_due: AtomicBool::new(true),
            wake: Notify::new(),
            retry: Notify::new(),
            phase: watch::Sender::new(Phase::Running),
            changed: watch::Sender::new(0),
            progress: Mutex::default(),
            metrics: OnceLock::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ShippingState> {
        // No code panics under this lock half way through a change.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of the shipper, and tells those who wait.
    pub(super) fn change_state(&self, change: impl FnOnce(&mut ShippingState)) {
        change(&mut self.state());
        self.changed.send_modify(|changes| *changes += 1);
    }

    pub(super) fn adopted(&self) -> Vec<Arc<ProcessFolder>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The size of what waits in adopted folders.
    pub(super) fn adopted_waiting(&self) -> Waiting {
        let mut waiting = Waiting { events: 0, bytes: 0 };
        for folder in self.adopted() {
            let backlog = folder.backlog();
            waiting.events += backlog.events;
            waiting.bytes += backlog.bytes;
        }
        waiting
    }

    /// Returns the state, from memory alone.
    pub(super) fn status(&self) -> SpoolStatus {
        let adopted = self.adopted();
        let waiting = self.adopted_waiting();
        let (own_events, own_bytes, own_oldest) = {
            let own = self.own.backlog();
            (own.events, own.bytes, own.oldest)
        };
        let oldest = adopted.iter().filter_map(|folder| folder.backlog().oldest).chain(own_oldest).min();
        let state = self.state().clone();
        SpoolStatus {
            events: own_events + waiting.events,
            bytes: own_bytes + waiting.bytes,
            oldest: oldest.and_then(Timestamp::from_micros),
            dead_letters: state.dead_letters,
            adopted: adopted.len(),
            target_error: state.target_error,
            shipped_at: state.shipped_at,
        }
    }

    /// Publishes the state to the app's recorder, once the shipper was started.
    pub(super) fn publish_metrics(&self) {
        if let Some(metrics) = self.metrics.get() {
            metrics.publish(|| self.status());
        }
    }

    /// Adopts the folders of processes that have died. A folder that cannot be read is left, and said. Call it under the lock
    /// `adoption`.
    pub(super) fn adopt(&self) -> std::io::Result<()> {
        let known: BTreeSet<PathBuf> = self.adopted().iter().map(|folder| folder.path.clone()).collect();
        for path in ProcessFolder::list(&self.directory)? {
            if path == self.own.path || known.contains(&path) {
                continue;
            }
            match ProcessFolder::adopt(&path) {
                Ok(Some((folder, torn))) => {
                    let events = folder.backlog().events;
                    let name = path.file_name().unwrap_or_default().display().to_string();
                    if events > 0 || torn > 0 {
                        log_line(move || {
                            tracing::warn!(
                                folder = name,
                                events,
                                torn_bytes = torn,
                                "adopted the audit spool of a process that has died; torn bytes were never acknowledged"
                            );
                        });
                    }
                    let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
                    adopted.push(Arc::new(folder));
                    adopted.sort_by(|a, b| a.path.cmp(&b.path));
                }
                Ok(None) => {}
                Err(error) => {
                    let folder = path.file_name().unwrap_or_default().display().to_string();
                    log_line(move || {
                        tracing::error!(folder, %error, "the audit spool of a process that has died cannot be adopted");
                    });
                }
            }
        }
        Ok(())
    }

    /// Leaves adopted folders with nothing to ship: removes them, or releases those with open events for whoever closes these. Call it
    /// under the lock `adoption`.
    pub(super) fn leave_shipped(&self) -> std::io::Result<()> {
        for folder in self.adopted() {
            if folder.backlog().is_shipped() {
                folder.leave()?;
                let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
                adopted.retain(|other| !Arc::ptr_eq(other, &folder));
            }
        }
        Ok(())
    }

    /// Releases every lock: others may adopt the folders.
    pub(super) fn release(&self) {
        self.own.release();
        self.adopted().iter().for_each(|folder| folder.release());
    }

    /// The ends of the folders of other processes, as far as they have something to ship.
    pub(super) fn other_backlogs(&self) -> std::io::Result<Vec<(PathBuf, Position)>> {
        let mut found = Vec::new();
        let folders = match ProcessFolder::list(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            folders => folders?,
        };
        for path in folders.into_iter().filter(|path| *path != self.own.path) {
            if let Some(end) = end_of(&path)? {
                found.push((path, end));
            }
        }
        Ok(found)
    }
}

/// The end of a folder that has something to ship.
fn end_of(folder: &std::path::Path) -> std::io::Result<Option<Position>> {
    let segments = match super::segment::Segment::open_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        segments => segments?,
    };
    let Some(last) = segments.last() else { return Ok(None) };
    let end = Position { segment: last.number, offset: last.len };
    Ok((!is_shipped_to(folder, end)?).then_some(end))
}

/// Returns true if a folder is shipped up to a place, or gone.
pub(super) fn is_shipped_to(folder: &std::path::Path, end: Position) -> std::io::Result<bool> {
    if progress::read(folder)?.is_some_and(|position| position >= end) {
        return Ok(true);
    }
    match super::segment::Segment::newest_number(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        newest => Ok(newest?
            .is_none_or(|newest| newest > end.segment && !folder.join(super::segment::name_of(end.segment)).exists())),
    }
}
