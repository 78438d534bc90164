//! Lines of the operator's log about events that were not written.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::error::{RecordError, RecordErrorKind};
use crate::event::EventId;
use crate::log_lines::log_line;
use crate::store::chain;
use crate::throttle::PAUSE;

/// Names the events that were not written, and the error. Each id that a client was given is in one line.
///
/// The first failure is written at once. Those of the next second are collected by kind, and written together: a line for
/// every [`IDS_A_LINE`] of them.
#[derive(Debug)]
pub(super) struct FailureLog {
    runtime: Handle,
    collected: Mutex<FailureBatch>,
}

#[derive(Debug, Default)]
struct FailureBatch {
    last_written: Option<Instant>,
    groups: Vec<Group>,
    /// A task will write the collected failures.
    is_scheduled: bool,
}

/// Events that failed in one way.
#[derive(Debug)]
struct Group {
    kind: RecordErrorKind,
    /// The last of their errors.
    error: RecordError,
    ids: Vec<EventId>,
}

/// The number of ids in one line.
const IDS_A_LINE: usize = 32;
/// The number of ids of a kind at which they are written, whatever the time.
const MAX_COLLECTED: usize = 1024;

impl FailureLog {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, collected: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, FailureBatch> {
        // No code panics under this lock half way through a change.
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event that was not written.
    pub(super) fn note(self: &Arc<Self>, id: EventId, error: &RecordError) {
        let mut collected = self.lock();
        let now = Instant::now();
        let is_silent = collected.last_written.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        let kind = error.kind();
        let at = collected.groups.iter().position(|group| group.kind == kind).unwrap_or_else(|| {
            collected.groups.push(Group { kind, error: error.clone(), ids: Vec::new() });
            collected.groups.len() - 1
        });
        let group = &mut collected.groups[at];
        group.error = error.clone();
        group.ids.push(id);
        if is_silent || group.ids.len() >= MAX_COLLECTED {
            drop(collected);
            self.flush();
        } else if !collected.is_scheduled {
            collected.is_scheduled = true;
            drop(collected);
            let guard = FlushGuard(Arc::clone(self));
            // Dropped at once if the runtime is gone: then the lines are written at once.
            self.runtime.spawn(async move {
                tokio::time::sleep(PAUSE).await;
                drop(guard);
            });
        }
    }

    /// Writes the collected failures.
    pub(super) fn flush(&self) {
        let groups = {
            let mut collected = self.lock();
            collected.last_written = Some(Instant::now());
            collected.is_scheduled = false;
            std::mem::take(&mut collected.groups)
        };
        for Group { error, ids, .. } in groups {
            let error = chain(&error).to_string();
            for ids in ids.chunks(IDS_A_LINE) {
                let (error, ids) = (error.clone(), ids.to_vec());
                log_line(move || {
                    tracing::error!(
                        error,
                        events = ids.len(),
                        event_ids = %Ids(&ids),
                        "audit events not written"
                    );
                });
            }
        }
    }
}

/// Writes the collected failures when it is dropped, also if its task is dropped before its time.
struct FlushGuard(Arc<FailureLog>);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

struct Ids<'a>(&'a [EventId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, id) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{id}")?;
        }
        Ok(())
    }
}
