//! The writer's counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of a log since it was opened, for the app's metrics.
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
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) written: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) unrecorded: AtomicU64,
    pub(super) transactional: AtomicU64,
    pub(super) status_mismatches: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) at_store: AtomicU64,
    pub(super) detached: AtomicU64,
    pub(super) abandoned: AtomicU64,
}

impl Counters {
    pub(super) fn at_store(&self, events: usize) {
        self.at_store.store(events as u64, Relaxed);
    }

    pub(super) fn read(&self, queued: usize, owed: usize) -> Stats {
        Stats {
            queued: queued as u64,
            owed: owed as u64,
            written: self.written.load(Relaxed),
            failed: self.failed.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            unrecorded: self.unrecorded.load(Relaxed),
            transactional: self.transactional.load(Relaxed),
            status_mismatches: self.status_mismatches.load(Relaxed),
            batches: self.batches.load(Relaxed),
            retries: self.retries.load(Relaxed),
            at_store: self.at_store.load(Relaxed),
            detached: self.detached.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
        }
    }
}

/// Adds `n` to a counter.
pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Relaxed);
}
