//! At most one line a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lines of one kind in the operator's log.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// Leaves out lines that come too often, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Throttle {
    /// Returns the number of lines left out since the last one, if a line may be written now.
    pub(crate) fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        // No code panics under this lock half way through a change.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}
