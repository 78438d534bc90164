//! The events that were not written, in the operator's log.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::error::{RecordError, RecordErrorKind};
use super::log_lines::log_line;
use super::throttle::PAUSE;
use crate::event::EventId;
use crate::store::chain;

/// Says which events were not written, and why. Each id that a client was given is in one line.
///
/// The first refusal is said at once. Those of the next second are gathered by their kind, and said together: a line for
/// each [`IDS_A_LINE`] of them.
#[derive(Debug)]
pub(super) struct FailureLog {
    runtime: Handle,
    gathered: Mutex<FailureBatch>,
}

#[derive(Debug, Default)]
struct FailureBatch {
    last_said: Option<Instant>,
    groups: Vec<Group>,
    /// Somebody will say what is gathered.
    is_promised: bool,
}

/// Events that were refused in the same way.
#[derive(Debug)]
struct Group {
    kind: RecordErrorKind,
    /// The last of the errors, which stands for all.
    error: RecordError,
    ids: Vec<EventId>,
}

/// How many ids there are in one line.
const IDS_A_LINE: usize = 32;
/// How many ids of a kind are gathered before they are said, whatever the time.
const MOST_GATHERED: usize = 1024;

impl FailureLog {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, gathered: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, FailureBatch> {
        // Nothing under this lock panics half way through a change.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event was not written.
    pub(super) fn note(self: &Arc<Self>, id: EventId, error: &RecordError) {
        let mut gathered = self.lock();
        let now = Instant::now();
        let is_silent = gathered.last_said.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        let kind = error.kind();
        let at = gathered.groups.iter().position(|group| group.kind == kind).unwrap_or_else(|| {
            gathered.groups.push(Group { kind, error: error.clone(), ids: Vec::new() });
            gathered.groups.len() - 1
        });
        let group = &mut gathered.groups[at];
        group.error = error.clone();
        group.ids.push(id);
        if is_silent || group.ids.len() >= MOST_GATHERED {
            drop(gathered);
            self.say();
        } else if !gathered.is_promised {
            gathered.is_promised = true;
            drop(gathered);
            let promise = FlushGuard(Arc::clone(self));
            // Dropped at once where the runtime is gone: then it is said at once.
            self.runtime.spawn(async move {
                tokio::time::sleep(PAUSE).await;
                drop(promise);
            });
        }
    }

    /// Says what is gathered.
    pub(super) fn say(&self) {
        let groups = {
            let mut gathered = self.lock();
            gathered.last_said = Some(Instant::now());
            gathered.is_promised = false;
            std::mem::take(&mut gathered.groups)
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

/// Says what is gathered in the end, also if the task that was to do it is dropped.
struct FlushGuard(Arc<FailureLog>);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.say();
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
