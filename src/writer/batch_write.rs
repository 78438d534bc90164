//! The tries of a batch: appended, tried again, split, until each of its events is settled.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::batch::Batch;
use super::catch_panic::{StoreFailure, call_store, panic_error};
use super::error::{RecordError, RecordErrorKind};
use super::stats::add;
use super::waiter::Waiter;
use super::worker::Worker;
use crate::backoff::Backoff;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::{StoreError, StoreErrorKind, chain};

/// A part of a batch, and the number of its tries since it was made.
struct Part {
    batch: Batch,
    tries: u32,
}

impl Part {
    fn new(batch: Batch) -> Self {
        Self { batch, tries: 0 }
    }
}

/// The interval at which deadlines are checked while an append runs.
const TICK: Duration = Duration::from_millis(20);
/// The bounds of the pauses before an append is tried again: of the first, and of every pause.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The tries after which a part of a batch is split.
const TRIES: u32 = 3;
/// The number of parts from which none is split because of a failure that may pass: the store fails them all.
const MAX_PARTS: usize = 16;

impl Worker {
    /// Appends the batch, and answers its callers. Returns the emptied vectors.
    ///
    /// An append that fails for now is tried again while a caller waits for it. If it fails [`TRIES`] times, or for good,
    /// its halves are tried alone, so that no event takes others down with it. Events without a caller go to those that
    /// the log owes.
    pub(super) async fn write(&self, batch: Batch) -> Batch {
        let mut emptied = Batch::default();
        let mut parts = VecDeque::from([Part::new(batch)]);
        let (mut backoff, mut has_panicked) = (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), false);
        // Each round tries each part once.
        let (mut left_in_round, mut has_succeeded) = (1, false);
        while let Some(mut part) = parts.pop_front() {
            left_in_round -= 1;
            match self.append(&mut part.batch, &mut parts, &mut has_panicked).await {
                Ok(()) => {
                    self.accept(&mut part.batch);
                    has_succeeded = true;
                    emptied = part.batch;
                    emptied.clear();
                }
                Err(cause) => {
                    part.batch.remove_answered();
                    left_in_round += self.retry_or_reject(part, cause, &mut parts);
                }
            }
            if left_in_round > 0 {
                continue;
            }
            if parts.iter().any(|part| part.batch.has_callers()) {
                if has_succeeded {
                    backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
                }
                self.pause(backoff.next_pause(), &mut parts).await;
            }
            self.remove_without_callers(&mut parts);
            (left_in_round, has_succeeded) = (parts.len(), false);
        }
        emptied
    }

    /// Queues a part whose append has failed for the next round, or for this one if it is split; rejects it if another
    /// try is of no use. Returns the number of parts added to this round.
    fn retry_or_reject(&self, mut part: Part, cause: StoreError, parts: &mut VecDeque<Part>) -> usize {
        if part.batch.is_empty() {
            return 0;
        }
        if !cause.is_transient() || self.queue.is_given_up() {
            if part.batch.len() == 1 || cause.kind() != StoreErrorKind::Permanent {
                self.reject(&mut part.batch, cause);
                return 0;
            }
            let half = part.batch.split_off(part.batch.len() / 2);
            parts.push_front(Part::new(half));
            parts.push_front(Part::new(part.batch));
            return 2;
        }
        self.count_retry(&cause, part.batch.len());
        part.tries += 1;
        if part.tries >= TRIES && part.batch.len() > 1 && parts.len() < MAX_PARTS {
            let half = part.batch.split_off(part.batch.len() / 2);
            parts.extend([Part::new(part.batch), Part::new(half)]);
        } else {
            parts.push_back(part);
        }
        0
    }

    /// Removes what has been answered, and the parts for which only the log waits: it owes them from here on.
    fn remove_without_callers(&self, parts: &mut VecDeque<Part>) {
        for part in &mut *parts {
            part.batch.remove_answered();
            if !part.batch.has_callers() {
                self.put_behind(std::mem::take(&mut part.batch));
            }
        }
        parts.retain(|part| !part.batch.is_empty());
    }

    /// Appends events that the log owes: one try. Returns true if they are to be tried again.
    pub(super) async fn write_owed(&self, batch: Batch) -> bool {
        let (mut has_failed, mut has_panicked) = (false, false);
        let mut parts = VecDeque::from([Part::new(batch)]);
        while let Some(Part { mut batch, .. }) = parts.pop_front() {
            let Err(cause) = self.append(&mut batch, &mut parts, &mut has_panicked).await else {
                self.accept(&mut batch);
                continue;
            };
            if cause.is_transient() && !self.queue.is_given_up() {
                has_failed = true;
                self.count_retry(&cause, batch.len());
                self.put_behind(batch);
            } else if batch.len() > 1 && cause.kind() == StoreErrorKind::Permanent {
                let half = batch.split_off(batch.len() / 2);
                parts.push_front(Part::new(half));
                parts.push_front(Part::new(batch));
            } else {
                self.reject(&mut batch, cause);
            }
        }
        has_failed
    }

    fn put_behind(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let mut rejected = self.queue.put_behind(batch);
        let error = RecordError::new(RecordErrorKind::QueueFull);
        for (waiter, event) in rejected.waiters.iter_mut().zip(&rejected.events) {
            self.failure_log.note(event.event_id, &error);
            waiter.reject(error.clone());
        }
    }

    fn count_retry(&self, cause: &StoreError, events: usize) {
        add(&self.counters.retries, 1);
        if let Some(unsaid) = self.retries.pass() {
            let error = chain(cause).to_string();
            log_line(move || tracing::warn!(error, events, unsaid, "audit append failed, trying again"));
        }
    }

    /// Waits for the next try, while deadlines pass. Other batches may be appended meanwhile.
    async fn pause(&self, pause: Duration, parts: &mut VecDeque<Part>) {
        let _pausing = self.slots.pause();
        let until = Instant::now() + pause;
        while Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + TICK)).await;
            self.expire(&mut Batch::default(), parts);
        }
    }

    /// Appends once, while deadlines pass. `parts`: the others of the batch.
    ///
    /// The append runs to its end even if all callers have stopped waiting: the contract of a store.
    async fn append(
        &self,
        batch: &mut Batch,
        parts: &mut VecDeque<Part>,
        has_panicked: &mut bool,
    ) -> Result<(), StoreError> {
        let _slot = self.slot(batch, parts).await;
        batch.remove_answered();
        if batch.is_empty() {
            return Ok(());
        }
        let Batch { events, waiters } = batch;
        let timer = self.counters.metrics.timer();
        let result = {
            let _at_store = self.counters.enter_store(events.len());
            self.publish_levels();
            let mut append = pin!(call_store(|| self.store.append(events)));
            loop {
                match tokio::time::timeout(TICK, append.as_mut()).await {
                    Ok(result) => break result,
                    Err(_) => self.expire_waiters(events, waiters, parts),
                }
            }
        };
        self.counters.metrics.end_append(timer, result.is_ok());
        if result.is_err() {
            // A pause follows, in which nothing is at the store.
            self.publish_levels();
        }
        let error = match result {
            Ok(()) => return Ok(()),
            Err(StoreFailure::Panic) => {
                waiters.iter_mut().for_each(Waiter::set_unclear);
                // The first panic may not be the batch's fault: a line that could not be logged, say.
                let kind = if *has_panicked { StoreErrorKind::Permanent } else { StoreErrorKind::Transient };
                *has_panicked = true;
                return Err(panic_error(kind));
            }
            Err(StoreFailure::Error(error)) => error,
        };
        if error.may_be_stored() {
            waiters.iter_mut().for_each(Waiter::set_unclear);
        }
        Err(error)
    }

    /// Waits for the place of an append, while deadlines pass.
    async fn slot(&self, batch: &mut Batch, parts: &mut VecDeque<Part>) -> Option<SemaphorePermit<'_>> {
        if let Ok(slot) = self.slots.free.try_acquire() {
            return Some(slot);
        }
        let mut acquire = pin!(self.slots.free.acquire());
        loop {
            match tokio::time::timeout(TICK, acquire.as_mut()).await {
                Ok(slot) => return slot.ok(),
                Err(_) => self.expire(batch, parts),
            }
        }
    }

    /// Answers the callers whose deadline has passed: in the batch, in its other parts, and in the queue.
    fn expire(&self, batch: &mut Batch, parts: &mut VecDeque<Part>) {
        let Batch { events, waiters } = batch;
        self.expire_waiters(events, waiters, parts);
    }

    fn expire_waiters(&self, events: &[AuditEvent], waiters: &mut [Waiter], parts: &mut VecDeque<Part>) {
        let now = Instant::now();
        let mut expired = 0;
        let parts = parts.iter_mut().flat_map(|part| part.batch.waiters.iter_mut().zip(&part.batch.events));
        for (waiter, event) in waiters.iter_mut().zip(events).chain(parts) {
            if waiter.is_expired(now) {
                expired += usize::from(self.queue.expire_waiter(waiter, event.event_id));
            }
        }
        add(&self.counters.timed_out, expired + self.queue.expire(now));
        self.publish_levels();
    }
}
