//! The writer's counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::metrics::{LogMetrics, TotalCounter};

/// Counters of a log since it was opened. With the feature `metrics` they are in the app's recorder as well.
///
/// `queued`, `at_store`, `owed` and `detached` are values of this moment; the others only grow. Each accepted event ends in
/// exactly one of `written`, `failed` and `timed_out`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Queued events.
    pub queued: u64,
    /// Events that were acknowledged by the store.
    pub written: u64,
    /// Events that the store rejected.
    pub failed: u64,
    /// Events whose deadline passed first. The store may have those that it was appending. An event whose transaction the
    /// log waits for also counts as `written`, once it is.
    pub timed_out: u64,
    /// Events that found no room in the queue until their deadline, or a closed log.
    pub rejected: u64,
    /// Events let go by a rule with [`FailMode::Open`](crate::FailMode::Open): the response went out without them.
    pub unrecorded: u64,
    /// Events inserted in transactions of the app, committed or not. No other field counts them.
    pub transactional: u64,
    /// Responses whose status differs from the outcome of their event, which was committed with the effect.
    pub status_mismatches: u64,
    /// Batches that the store acknowledged.
    pub batches: u64,
    /// Appends that were tried again.
    pub retries: u64,
    /// Events in appends that the store has not answered, right now.
    pub at_store: u64,
    /// Events that the log still has to write although no caller waits for them, right now: the ends of requests whose
    /// client has gone.
    pub owed: u64,
    /// Requests whose handler runs on after their client has gone, right now.
    pub detached: u64,
    /// Requests whose handler was dropped after their client had gone: too many ran, or one for too long.
    pub abandoned: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug)]
#[cfg_attr(not(feature = "metrics"), derive(Default))]
pub(crate) struct Counters {
    pub(super) written: Total,
    pub(super) failed: Total,
    pub(super) timed_out: Total,
    pub(super) rejected: Total,
    pub(super) unrecorded: Total,
    pub(super) transactional: Total,
    pub(super) status_mismatches: Total,
    pub(super) batches: Total,
    pub(super) retries: Total,
    pub(super) at_store: AtomicU64,
    pub(super) detached: AtomicU64,
    pub(super) abandoned: Total,
    pub(super) metrics: LogMetrics,
}

/// Counts events as being at the store.
pub(super) struct AtStore<'c> {
    counters: &'c Counters,
    events: u64,
}

impl Drop for AtStore<'_> {
    fn drop(&mut self) {
        self.counters.at_store.fetch_sub(self.events, Relaxed);
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Total {
    count: AtomicU64,
    counter: TotalCounter,
}

impl Total {
    pub(super) fn get(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

impl Counters {
    /// Returns the counters of a log of this name.
    #[cfg(feature = "metrics")]
    pub(super) fn of_log(name: &str) -> Self {
        use super::metrics::names;
        let counters = Self {
            written: Total::default(),
            failed: Total::default(),
            timed_out: Total::default(),
            rejected: Total::default(),
            unrecorded: Total::default(),
            transactional: Total::default(),
            status_mismatches: Total::default(),
            batches: Total::default(),
            retries: Total::default(),
            at_store: AtomicU64::default(),
            detached: AtomicU64::default(),
            abandoned: Total::default(),
            metrics: LogMetrics::register(name),
        };
        for (total, name) in [
            (&counters.written, names::WRITTEN),
            (&counters.failed, names::FAILED),
            (&counters.timed_out, names::TIMED_OUT),
            (&counters.rejected, names::REJECTED),
            (&counters.unrecorded, names::UNRECORDED),
            (&counters.transactional, names::TRANSACTIONAL),
            (&counters.status_mismatches, names::STATUS_MISMATCHES),
            (&counters.batches, names::BATCHES),
            (&counters.retries, names::RETRIES),
            (&counters.abandoned, names::ABANDONED),
        ] {
            counters.metrics.register_total(&total.counter, name);
        }
        counters
    }

    /// Counts events as being at the store, until the guard is dropped: by the answer to their append, or with its future.
    pub(super) fn enter_store(&self, events: usize) -> AtStore<'_> {
        let events = events as u64;
        self.at_store.fetch_add(events, Relaxed);
        AtStore { counters: self, events }
    }

    pub(super) fn read(&self, queued: usize, owed: usize) -> Stats {
        Stats {
            queued: queued as u64,
            owed: owed as u64,
            written: self.written.get(),
            failed: self.failed.get(),
            timed_out: self.timed_out.get(),
            rejected: self.rejected.get(),
            unrecorded: self.unrecorded.get(),
            transactional: self.transactional.get(),
            status_mismatches: self.status_mismatches.get(),
            batches: self.batches.get(),
            retries: self.retries.get(),
            at_store: self.at_store.load(Relaxed),
            detached: self.detached.load(Relaxed),
            abandoned: self.abandoned.get(),
        }
    }
}

/// Adds `n` to a total. Not to be called under a lock: it calls the app's recorder.
pub(super) fn add(total: &Total, n: usize) {
    total.count.fetch_add(n as u64, Relaxed);
    total.counter.add(n as u64);
}
