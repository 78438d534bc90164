//! Waiting for a condition, never for a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything that should be soon may take on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What `condition` comes to, tried until it is something; a panic that says `what` if it does not come in time.
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
