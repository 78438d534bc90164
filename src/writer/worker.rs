//! The one task that appends to the store.
//!
//! It has as many batches under way as the store serves well. The first begins as soon as an event waits; a further one
//! when as many events wait as are under way, or when one that is under way takes long. So batches grow with the load, and
//! an append that hangs does not stop the others.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::batch::Batch;
use super::batches_in_flight::BatchesInFlight;
use super::catch_panic::{StoreFailure, call_store, catch_store_panic, panic_error};
use super::closing_events;
use super::error::{RecordError, RecordErrorKind};
use super::failure_log::FailureLog;
use super::idle_timer::IdleTimer;
use super::limits::MAX_PAUSING_BATCHES;
use super::queue::{Queue, Taken};
use super::stats::{Counters, add};
use super::store_damage::StoreDamage;
use super::subscription::Subscribers;
use super::throttle::Throttle;
use super::waiter::{FollowUp, Waiter};
use crate::backoff::Backoff;
use crate::event::{AuditEvent, EventId};
use crate::log_lines::log_line;
use crate::store::{AuditStore, StoreError, StoreErrorKind, chain};

/// The worker of a log: owns the order of the appends, and answers the callers.
pub(super) struct Worker {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    pub(super) failure_log: Arc<FailureLog>,
    pub(super) damage: Arc<StoreDamage>,
    pub(super) subscribers: Arc<Subscribers>,
    /// The number of the first event that is not settled, for `flush`.
    pub(super) settled: watch::Sender<u64>,
    pub(super) max_batch: usize,
    /// The maximum number of concurrent appends.
    pub(super) parallel: usize,
    pub(super) retries: Throttle,
    pub(super) slots: AppendSlots,
}

/// The places of concurrent appends. A batch that waits for its next try has none.
pub(super) struct AppendSlots {
    free: Semaphore,
    pausing: AtomicUsize,
    pause_begun: Notify,
}

impl AppendSlots {
    pub(super) fn new(parallel: usize) -> Self {
        Self { free: Semaphore::new(parallel), pausing: AtomicUsize::new(0), pause_begun: Notify::new() }
    }

    /// Counts a batch as pausing, until the guard is dropped.
    fn pause(&self) -> PauseGuard<'_> {
        self.pausing.fetch_add(1, Relaxed);
        self.pause_begun.notify_one();
        PauseGuard(self)
    }
}

struct PauseGuard<'a>(&'a AppendSlots);

impl Drop for PauseGuard<'_> {
    fn drop(&mut self) {
        self.0.pausing.fetch_sub(1, Relaxed);
    }
}

/// The worker's state, which outlives a panic of the worker.
struct WorkerState<'a> {
    writing: BatchesInFlight<'a, FinishedBatch>,
    batches: Vec<BatchUnderWay>,
    /// The vectors that the next batch is taken into, and its kind.
    next: Batch,
    next_kind: Taken,
    /// The key of the next batch.
    next_key: u64,
    maintenance: Option<Maintenance>,
    /// The store may have maintenance to do.
    needs_maintenance: bool,
    idle: IdleTimer,
}

/// A batch that is being written.
struct BatchUnderWay {
    key: u64,
    /// The lowest number of its events.
    first: u64,
    events: usize,
}

/// The store's maintenance under way. It owns the store, so that it can go on when the worker has ended.
type Maintenance = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// An event that the worker waits for.
enum WorkerEvent {
    Written(FinishedBatch),
    Taken(Taken),
    Maintained(Result<bool, StoreError>),
    /// No event has arrived for a while.
    Idle,
}

/// A batch whose events are all settled.
struct FinishedBatch {
    key: u64,
    /// The vectors, to be used again.
    emptied: Batch,
}

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

/// The smallest batch that begins beside others.
const MIN_FURTHER_BATCH: usize = 24;
/// The interval at which deadlines are checked while an append runs.
const TICK: Duration = Duration::from_millis(20);
/// The bounds of the pauses before an append is tried again: of the first, and of every pause.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The tries after which a part of a batch is split.
const TRIES: u32 = 3;
/// The number of parts from which none is split because of a failure that may pass: the store fails them all.
const MAX_PARTS: usize = 16;
/// The pause after a panic of the worker itself.
const AFTER_PANIC: Duration = Duration::from_millis(20);

/// Stops the queue when the worker ends, however it does: its runtime may drop it at any time, also before its first
/// poll.
impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.stop();
        self.subscribers.close();
    }
}

impl Worker {
    /// Runs until the queue is closed and everything is settled.
    ///
    /// A panic in it costs at most the batch that it happened in: the worker goes on with the others.
    pub(super) async fn run(self) {
        let mut state = WorkerState {
            writing: BatchesInFlight::new(),
            batches: Vec::with_capacity(self.parallel),
            next: Batch::default(),
            next_kind: Taken::Events,
            next_key: 0,
            maintenance: None,
            needs_maintenance: false,
            idle: IdleTimer::new(),
        };
        while AssertUnwindSafe(self.work(&mut state)).catch_unwind().await.is_err() {
            log_line(|| tracing::error!("the writer of the audit log panicked; it goes on"));
            tokio::time::sleep(AFTER_PANIC).await;
        }
        if let Some(maintenance) = state.maintenance {
            // The close of the store waits for it, or times out; the worker does not.
            tokio::spawn(maintenance);
        }
    }

    async fn work<'a>(&'a self, state: &mut WorkerState<'a>) {
        if !state.next.is_empty() {
            // A panic came between taking it and beginning it.
            self.begin(state);
        }
        loop {
            let event = {
                let WorkerState { writing, batches, next, maintenance, needs_maintenance, idle, .. } = state;
                let is_idle = writing.is_empty() && maintenance.is_none();
                let take = pin!(self.take(next, batches));
                let idle = pin!(idle.elapsed(*needs_maintenance && is_idle));
                let store = pin!(async {
                    match select(writing.next(), pin!(maintained(maintenance))).await {
                        Either::Left((written, _)) => WorkerEvent::Written(written),
                        Either::Right((result, _)) => WorkerEvent::Maintained(result),
                    }
                });
                match select(store, select(take, idle)).await {
                    Either::Left((event, _)) => event,
                    Either::Right((Either::Left((taken, _)), _)) => WorkerEvent::Taken(taken),
                    Either::Right((Either::Right(((), _)), _)) => WorkerEvent::Idle,
                }
            };
            match event {
                WorkerEvent::Taken(Taken::Closed) if state.writing.is_empty() => {
                    self.give_up();
                    return;
                }
                WorkerEvent::Taken(Taken::Closed) => {
                    // A batch under way may leave events that the log owes: they are queued behind the end.
                    let written = state.writing.next().await;
                    self.settle(&mut state.batches, written.key);
                }
                WorkerEvent::Taken(Taken::Nothing) => self.publish(&state.batches),
                WorkerEvent::Taken(taken) => {
                    state.next_kind = taken;
                    self.begin(state);
                }
                WorkerEvent::Written(written) => {
                    self.settle(&mut state.batches, written.key);
                    if state.next.is_empty() {
                        state.next = written.emptied;
                    }
                    state.needs_maintenance = true;
                    state.idle.restart();
                }
                WorkerEvent::Idle => {
                    let store = Arc::clone(&self.store);
                    state.maintenance = Some(Box::pin(async move { catch_store_panic(|| store.maintain()).await }));
                }
                WorkerEvent::Maintained(result) => {
                    state.maintenance = None;
                    state.needs_maintenance = self.damage.record(result);
                    state.idle.restart();
                }
            }
        }
    }

    /// Begins to write the batch that was taken.
    fn begin<'a>(&'a self, state: &mut WorkerState<'a>) {
        let batch = std::mem::take(&mut state.next);
        let is_owed = std::mem::replace(&mut state.next_kind, Taken::Events) == Taken::Owed;
        let key = state.next_key;
        state.next_key += 1;
        let events = batch.len();
        let first = if is_owed { batch.lowest() } else { batch.first() };
        state.batches.push(BatchUnderWay { key, first, events });
        self.counters.at_store(state.batches.iter().map(|batch| batch.events).sum());
        if is_owed {
            let written = AssertUnwindSafe(self.write_owed(batch)).catch_unwind();
            state.writing.push(async move {
                let begun = Instant::now();
                let has_failed = written.await.unwrap_or(true);
                self.queue.end_owed_append(events, has_failed, begun.elapsed());
                FinishedBatch { key, emptied: Batch::default() }
            });
        } else {
            let written = AssertUnwindSafe(self.write(batch)).catch_unwind();
            state.writing.push(async move {
                // After a panic, the batch is dropped, and its callers learn of it.
                FinishedBatch { key, emptied: written.await.unwrap_or_default() }
            });
        }
    }

    /// Takes the next batch, when it is time for one beside those under way.
    async fn take(&self, batch: &mut Batch, under_way: &[BatchUnderWay]) -> Taken {
        loop {
            let appending = under_way.len().saturating_sub(self.slots.pausing.load(Relaxed));
            if appending < self.parallel && under_way.len() < self.parallel + MAX_PAUSING_BATCHES {
                let at_least = if appending == 0 {
                    1
                } else {
                    let events: usize = under_way.iter().map(|batch| batch.events).sum();
                    events.max(MIN_FURTHER_BATCH).min(self.max_batch)
                };
                return self.queue.take(batch, at_least, self.max_batch).await;
            }
            self.slots.pause_begun.notified().await;
        }
    }

    /// Publishes the number of the first event that is not settled: batches end in any order.
    fn settle(&self, under_way: &mut Vec<BatchUnderWay>, written: u64) {
        under_way.retain(|batch| batch.key != written);
        self.counters.at_store(under_way.iter().map(|batch| batch.events).sum());
        self.publish(under_way);
    }

    fn publish(&self, under_way: &[BatchUnderWay]) {
        let first = under_way.iter().map(|batch| batch.first).min().unwrap_or(u64::MAX);
        self.settled.send_replace(first.min(self.queue.first()));
    }

    /// Appends the batch, and answers its callers. Returns the emptied vectors.
    ///
    /// An append that fails for now is tried again while a caller waits for it. If it fails [`TRIES`] times, or for good,
    /// its halves are tried alone, so that no event takes others down with it. Events without a caller go to those that
    /// the log owes.
    async fn write(&self, batch: Batch) -> Batch {
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
    async fn write_owed(&self, batch: Batch) -> bool {
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
        let result = {
            let mut append = pin!(call_store(|| self.store.append(events)));
            loop {
                match tokio::time::timeout(TICK, append.as_mut()).await {
                    Ok(result) => break result,
                    Err(_) => self.expire_waiters(events, waiters, parts),
                }
            }
        };
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
        if error.is_transient() {
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
    }

    /// Answers that the batch is durable, and delivers its events to the subscribers.
    fn accept(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        // Before the answers, which a caller may read at once.
        add(&self.counters.written, batch.waiters.iter().filter(|waiter| waiter.has_caller()).count());
        add(&self.counters.batches, 1);
        for (waiter, event) in batch.waiters.iter_mut().zip(&batch.events) {
            match waiter.accept() {
                FollowUp::Nothing => {}
                FollowUp::Release => add(&self.counters.written, usize::from(self.queue.release(event.event_id))),
                FollowUp::EndNotRun => self.end_not_run(event, waiter.number),
            }
        }
        self.subscribers.deliver(&mut batch.events);
    }

    /// Answers that the batch is not written.
    fn reject(&self, batch: &mut Batch, cause: StoreError) {
        add(&self.counters.failed, batch.waiters.iter().filter(|waiter| waiter.has_caller()).count());
        let error = RecordError::store(Arc::new(cause));
        for (waiter, event) in batch.waiters.iter_mut().zip(&batch.events) {
            match waiter.reject(error.clone()) {
                FollowUp::Nothing => {}
                FollowUp::Release => self.fail_owed(event.event_id, &error),
                FollowUp::EndNotRun => self.end_not_run(event, waiter.number),
            }
        }
    }

    /// Counts and names an event that the log owed and that is not written. Callers name their own.
    fn fail_owed(&self, id: EventId, error: &RecordError) {
        if self.queue.release(id) {
            add(&self.counters.failed, 1);
            self.failure_log.note(id, error);
        }
    }

    /// Ends a `started` event that the store has, or may have, after its caller was told that it is not written.
    fn end_not_run(&self, started: &AuditEvent, number: u64) {
        self.queue.release(started.event_id);
        if self.queue.owe(closing_events::not_run(started), Some(number)).is_err() {
            let event_id = started.event_id;
            log_line(move || {
                tracing::error!(
                    %event_id,
                    "too many rejected requests wait for their end: this audit event stays open until the next start"
                );
            });
        }
    }

    /// Names the events that the log owes and did not get to write before it was closed.
    fn give_up(&self) {
        let mut owed = self.queue.end();
        let error = RecordError::new(RecordErrorKind::Closed);
        for (waiter, event) in owed.waiters.iter_mut().zip(&owed.events) {
            waiter.reject(error.clone());
            self.fail_owed(event.event_id, &error);
        }
    }
}

/// Returns the result of the maintenance under way; never ready while there is none.
async fn maintained(maintenance: &mut Option<Maintenance>) -> Result<bool, StoreError> {
    match maintenance {
        Some(maintenance) => maintenance.await,
        None => pending().await,
    }
}
