//! The time without new events.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The time without a new event after which the store may do maintenance: right after an answer, its client is about to
/// send the next request.
const IDLE_AFTER: Duration = Duration::from_millis(5);

/// Waits until no event has arrived for [`IDLE_AFTER`].
///
/// It has one timer, set anew only when it rings. A timer for each batch would be the earliest of the runtime each time,
/// and a new earliest timer makes tokio wake its I/O driver.
pub(super) struct IdleTimer {
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), timer: None }
    }

    /// Restarts the wait.
    pub(super) fn restart(&mut self) {
        self.since = Instant::now();
    }

    /// Restarts the wait, and makes it this long unless it is restarted.
    pub(super) fn postpone(&mut self, wait: Duration) {
        self.since = Instant::now() + wait.saturating_sub(IDLE_AFTER);
    }

    /// Returns after the time without an event; never, if `is_of_interest` is false.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub(super) async fn elapsed(&mut self, is_of_interest: bool) {
        if !is_of_interest {
            return pending().await;
        }
        let end = self.since + IDLE_AFTER;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        loop {
            timer.as_mut().await;
            if Instant::now() >= end {
                return;
            }
            timer.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test(start_paused = true)]
    async fn it_is_quiet_when_nothing_has_come_for_a_while() {
        let mut quiet = IdleTimer::new();
        for _ in 0..5 {
            assert!(quiet.elapsed(true).now_or_never().is_none());
            tokio::time::advance(IDLE_AFTER - Duration::from_millis(1)).await;
            assert!(quiet.elapsed(true).now_or_never().is_none());
            quiet.restart();
        }
        let begun = Instant::now();
        quiet.elapsed(true).await;
        assert_eq!(begun.elapsed(), IDLE_AFTER);
        assert!(quiet.elapsed(false).now_or_never().is_none(), "nobody asks");
        quiet.restart();
        quiet.elapsed(true).await;
        assert_eq!(begun.elapsed(), IDLE_AFTER * 2, "a second time");
        let begun = Instant::now();
        quiet.postpone(IDLE_AFTER * 100);
        assert!(quiet.elapsed(true).now_or_never().is_none());
        quiet.restart();
        quiet.elapsed(true).await;
        assert_eq!(begun.elapsed(), IDLE_AFTER, "an event came meanwhile");
        quiet.postpone(IDLE_AFTER * 100);
        quiet.elapsed(true).await;
        assert_eq!(begun.elapsed(), IDLE_AFTER * 101);
    }
}
