//! Waiting for a condition, never for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// The timeout of every wait, for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Retries `condition` until it returns a value. Panics with `what` after `limit`.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < limit, "waited {limit:?} in vain: {what}");
        sleep(Duration::from_millis(2));
    }
}
