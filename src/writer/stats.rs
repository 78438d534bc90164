//! The writer's counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of a log since it was opened, for the app's metrics.
///
/// `queued`, `at_store` and `detached` count what is so right now, everything else only grows. Each event that was accepted ends in exactly one
/// of `written`, `failed` and `expired`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events that wait for the writer.
    pub queued: u64,
    /// Events that were acknowledged by the store.
    pub written: u64,
    /// Events that the store refused.
    pub failed: u64,
    /// Events whose deadline passed first. Those that the store was busy with may be kept all the same. Those whose
    /// transaction is watched count as `written`, too, once they are.
    pub timed_out: u64,
    /// Events that found no room in the queue until their deadline, or a closed log.
    pub rejected: u64,
    /// Events let go by a rule with [`FailMode::Open`](crate::FailMode::Open): the response went out without them.
    pub unrecorded: u64,
    /// Events that were put into transactions of the app's, whatever became of them. They are in none of the others.
    pub transactional: u64,
    /// Responses that left with another status than their event says, which was committed with the effect.
    pub status_mismatches: u64,
    /// Batches that were acknowledged.
    pub batches: u64,
    /// Appends that were tried again.
    pub retries: u64,
    /// Events that the store has been given and has not answered for, right now.
    pub at_store: u64,
    /// Requests whose client has gone and whose handler still runs, right now.
    pub detached: u64,
    /// Requests whose client had gone and whose handler was ended before its time: too many ran, or one too long.
    pub abandoned: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) written: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) let_go: AtomicU64,
    pub(super) in_transactions: AtomicU64,
    pub(super) unforeseen: AtomicU64,
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

    pub(super) fn read(&self, queued: u64) -> Stats {
        Stats {
            queued,
            written: self.written.load(Relaxed),
            failed: self.failed.load(Relaxed),
            timed_out: self.expired.load(Relaxed),
            rejected: self.refused.load(Relaxed),
            unrecorded: self.let_go.load(Relaxed),
            transactional: self.in_transactions.load(Relaxed),
            status_mismatches: self.unforeseen.load(Relaxed),
            batches: self.batches.load(Relaxed),
            retries: self.retries.load(Relaxed),
            at_store: self.at_store.load(Relaxed),
            detached: self.detached.load(Relaxed),
            abandoned: self.abandoned.load(Relaxed),
        }
    }
}

/// Counts `n` more.
pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Relaxed);
}
