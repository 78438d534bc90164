//! A wait of a request for an event.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::layer_attempts::Attempts;
use super::request_state::RequestState;
use crate::writer::LogId;

/// A wait of a request for an event. Dropped, the wait has ended.
pub(crate) struct Wait {
    state: Arc<RequestState>,
    /// Absent in a wait that no client takes part in.
    log: Option<LogId>,
    deadline: Instant,
}

impl Wait {
    /// Begins a wait of this attempt for an event of its log.
    pub(super) fn begin(state: Arc<RequestState>, attempt: usize) -> Self {
        let now = Instant::now();
        let mut attempts = state.lock();
        let left = attempts.time_left(attempt, now);
        // The client waits for none of the events of a detached attempt.
        let log = if attempts.is_detached(attempt) { None } else { attempts.log_of(attempt) };
        if let Some(log) = log {
            attempts.clock(log).begin(now);
        }
        drop(attempts);
        Self { state, log, deadline: now + left }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(log) = self.log {
            self.state.lock().clock(log).end(Instant::now());
        }
    }
}

impl Attempts {
    /// The time for which the attempt may still wait for events: the rest of the request's one write timeout, or, if no
    /// client waits, a whole one.
    pub(crate) fn time_left(&self, attempt: usize, now: Instant) -> Duration {
        let Some(layer) = &self[attempt].layer else { return Duration::ZERO };
        let timeout = layer.log.write_timeout();
        let clock = self.clocks.iter().find(|clock| clock.log == layer.log_id);
        match clock {
            Some(clock) if !self.is_detached(attempt) => timeout.saturating_sub(clock.waited(now)),
            _ => timeout,
        }
    }

    /// Returns true if too little time is left for the event at the end of a handler: less than a tenth of the write
    /// timeout. A handler that has not been called yet is then not called.
    pub(crate) fn is_out_of_time(&self, attempt: usize) -> bool {
        let Some(layer) = &self[attempt].layer else { return false };
        !self.clocks.is_empty() && self.time_left(attempt, Instant::now()) < layer.log.write_timeout() / 10
    }
}
