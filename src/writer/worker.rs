//! The one task that appends to the store.
//!
//! It has as many batches under way as the store serves well. The first begins as soon as an event waits; a further one
//! when as many events wait as are under way, or when one that is under way takes long. So batches grow with the load, and
//! an append that hangs does not stop the others.

use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::time::Instant;

use super::append_slots::AppendSlots;
use super::batch::Batch;
use super::batches_in_flight::BatchesInFlight;
use super::catch_panic::catch_store_panic;
use super::failure_log::FailureLog;
use super::idle_timer::IdleTimer;
use super::limits::MAX_PAUSING_BATCHES;
use super::queue::{Queue, Taken};
use super::stats::Counters;
use super::store_damage::StoreDamage;
use super::subscription::Subscribers;
use crate::log_lines::log_line;
use crate::store::{AuditStore, StoreError};
use crate::throttle::Throttle;

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
    /// The number of written events after which the store is maintained without an idle moment.
    pub(super) maintenance_after: usize,
    pub(super) retries: Throttle,
    pub(super) slots: AppendSlots,
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
    /// The number of events written since the store was last maintained, less those of earlier rounds.
    unmaintained: usize,
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

/// The smallest batch that begins beside others.
const MIN_FURTHER_BATCH: usize = 24;
/// The pause after a panic of the worker itself.
const AFTER_PANIC: Duration = Duration::from_millis(20);
/// The pause after which a damaged store is maintained again, without an event that asks for it.
const DAMAGE_RECHECK: Duration = Duration::from_secs(5);

/// Stops the queue when the worker ends, however it does: its runtime may drop it at any time, also before its first
/// poll.
impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.stop();
        self.subscribers.close();
        // Nothing is queued, appended or owed by a log that writes no more; the app may hold it for ever.
        self.counters.metrics.set_levels(|| [0; 3]);
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
            unmaintained: 0,
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
                match select(pin!(answered(writing, maintenance)), select(take, idle)).await {
                    Either::Left((event, _)) => event,
                    Either::Right((Either::Left((taken, _)), _)) => WorkerEvent::Taken(taken),
                    Either::Right((Either::Right(((), _)), _)) => WorkerEvent::Idle,
                }
            };
            let event = match event {
                // A batch under way may leave events that the log owes: they are queued behind the end. Its append may wait for
                // the maintenance.
                WorkerEvent::Taken(Taken::Closed) if !state.writing.is_empty() => {
                    answered(&mut state.writing, &mut state.maintenance).await
                }
                event => event,
            };
            match event {
                WorkerEvent::Taken(Taken::Closed) => {
                    self.give_up();
                    return;
                }
                WorkerEvent::Taken(Taken::Nothing) => self.publish(&state.batches),
                WorkerEvent::Taken(taken) => {
                    state.next_kind = taken;
                    self.begin(state);
                }
                WorkerEvent::Written(written) => {
                    let events = self.settle(&mut state.batches, written.key);
                    if state.next.is_empty() {
                        state.next = written.emptied;
                    }
                    state.needs_maintenance = true;
                    state.unmaintained = state.unmaintained.saturating_add(events);
                    state.idle.restart();
                    self.maintain_if_due(state);
                }
                WorkerEvent::Idle => self.maintain(state),
                WorkerEvent::Maintained(result) => {
                    state.maintenance = None;
                    let has_more = self.damage.record(result);
                    let is_damaged = self.damage.is_found();
                    state.needs_maintenance = has_more || is_damaged;
                    match is_damaged {
                        // The health check fails until a maintenance succeeds, and without health there may be no events.
                        true => state.idle.postpone(DAMAGE_RECHECK),
                        false => state.idle.restart(),
                    }
                    if has_more {
                        self.maintain_if_due(state);
                    } else {
                        state.unmaintained = 0;
                    }
                }
            }
        }
    }

    /// Begins maintenance beside the appends, if enough events were written since the last one. Each round accounts for so
    /// many events: what came during a long one is made up for by rounds without a pause.
    fn maintain_if_due(&self, state: &mut WorkerState<'_>) {
        if state.maintenance.is_none() && state.unmaintained >= self.maintenance_after {
            state.unmaintained -= self.maintenance_after;
            self.maintain(state);
        }
    }

    fn maintain(&self, state: &mut WorkerState<'_>) {
        let store = Arc::clone(&self.store);
        state.maintenance = Some(Box::pin(async move { catch_store_panic(|| store.maintain()).await }));
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
            let appending = under_way.len().saturating_sub(self.slots.pausing());
            if appending < self.parallel && under_way.len() < self.parallel + MAX_PAUSING_BATCHES {
                let at_least = if appending == 0 {
                    1
                } else {
                    let events: usize = under_way.iter().map(|batch| batch.events).sum();
                    events.max(MIN_FURTHER_BATCH).min(self.max_batch)
                };
                return self.queue.take(batch, at_least, self.max_batch).await;
            }
            self.slots.pause_begun().await;
        }
    }

    /// Publishes the number of the first event that is not settled: batches end in any order. Returns the number of events
    /// of the batch that has ended.
    fn settle(&self, under_way: &mut Vec<BatchUnderWay>, written: u64) -> usize {
        let ended: usize = under_way.extract_if(.., |batch| batch.key == written).map(|batch| batch.events).sum();
        self.publish_levels();
        self.publish(under_way);
        ended
    }

    /// Publishes the numbers of queued, appended and owed events to the app's recorder.
    pub(super) fn publish_levels(&self) {
        let Self { queue, counters, .. } = self;
        counters.metrics.set_levels(|| [queue.len() as u64, counters.at_store.load(Relaxed), queue.owed() as u64]);
    }

    fn publish(&self, under_way: &[BatchUnderWay]) {
        let first = under_way.iter().map(|batch| batch.first).min().unwrap_or(u64::MAX);
        self.settled.send_replace(first.min(self.queue.first()));
    }
}

/// Polls the store's work until some of it ends: a batch, or the maintenance. Never ready without either.
async fn answered(
    writing: &mut BatchesInFlight<'_, FinishedBatch>,
    maintenance: &mut Option<Maintenance>,
) -> WorkerEvent {
    match select(writing.next(), pin!(maintained(maintenance))).await {
        Either::Left((written, _)) => WorkerEvent::Written(written),
        Either::Right((result, _)) => WorkerEvent::Maintained(result),
    }
}

/// Returns the result of the maintenance under way; never ready while there is none.
async fn maintained(maintenance: &mut Option<Maintenance>) -> Result<bool, StoreError> {
    match maintenance {
        Some(maintenance) => maintenance.await,
        None => pending().await,
    }
}
