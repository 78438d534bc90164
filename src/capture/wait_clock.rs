//! The time that a request spends waiting for the events of one log.

use std::time::Duration;

use tokio::time::Instant;

use crate::writer::LogId;

/// Measures how long a request has waited for the events of one log. All layers of that log share it, so that nested
/// layers together wait no longer than one write timeout.
///
/// Waits that overlap count once:
///
/// ```text
/// write timeout 500 ms     0    100   200   300   400
/// attempt 1, `started`          ├───────────┤
/// attempt 2, `started`                ├───────────┤
/// waited                        ├─────────────────┤    300 ms, so 200 ms are left
/// ```
#[derive(Debug)]
pub(crate) struct WaitClock {
    pub(super) log: LogId,
    waited: Duration,
    /// The number of waits that have not ended.
    open_waits: u32,
    /// The beginning of the first of these.
    since: Option<Instant>,
}

impl WaitClock {
    pub(super) fn new(log: LogId) -> Self {
        Self { log, waited: Duration::ZERO, open_waits: 0, since: None }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.open_waits += 1;
        self.since.get_or_insert(now);
    }

    pub(super) fn end(&mut self, now: Instant) {
        self.open_waits = self.open_waits.saturating_sub(1);
        if self.open_waits == 0
            && let Some(since) = self.since.take()
        {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// The time waited so far.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        self.waited + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}
