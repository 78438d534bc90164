//! The one task that appends to the store.
//!
//! It has as many batches under way as the store serves well. The first begins as soon as anything waits; a further one
//! when as much waits as is under way, or when one that is under way takes long. So batches grow with the load, and an
//! append that hangs does not stop the others.

use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::time::Instant;

use super::batches_in_flight::BatchesInFlight;
use super::catch_panic::{StoreFailure, call_store, catch_store_panic, panic_error};
use super::closing_events;
use super::error::{RecordError, RecordErrorKind};
use super::failure_log::FailureLog;
use super::idle_timer::IdleTimer;
use super::log_lines::log_line;
use super::queue::{Batch, Queue, Waiter};
use super::stats::{Counters, add};
use super::store_damage::StoreDamage;
use super::throttle::Throttle;
use crate::event::AuditEvent;
use crate::store::{AuditStore, StoreError, StoreErrorKind, chain};

/// The worker of a log: owns the order of the appends, and answers those who wait.
pub(super) struct Worker {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    pub(super) refusals: Arc<FailureLog>,
    pub(super) damage: Arc<StoreDamage>,
    /// The number of the first event that is not settled, for those who wait for all before them.
    pub(super) settled: watch::Sender<u64>,
    pub(super) max_batch: usize,
    /// How many appends may be under way.
    pub(super) parallel: usize,
    pub(super) retries: Throttle,
}

/// What the worker has under way. It outlives a panic of the worker.
struct BatchInFlight<'a> {
    writing: BatchesInFlight<'a, FinishedBatch>,
    batches: Vec<BatchUnderWay>,
    /// The vectors that the next batch is taken into.
    next: Batch,
    tidying: Option<Tidying>,
    /// Whether the store may have something to tidy up.
    is_untidy: bool,
    quiet: IdleTimer,
}

/// A batch that is being written.
struct BatchUnderWay {
    /// The number of the first of its events.
    first: u64,
    events: usize,
}

/// The store's housekeeping under way. It owns the store, so that it can go on when the worker has ended.
type Tidying = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// What the worker has waited for.
enum WorkerEvent {
    Written(FinishedBatch),
    /// False: there will be no more.
    Taken(bool),
    Tidied(Result<bool, StoreError>),
    /// Nobody has come for a while.
    Quiet,
}

/// A batch whose events are all settled.
struct FinishedBatch {
    /// The number of the first of them.
    first: u64,
    /// The vectors, to be used again.
    emptied: Batch,
}

/// How few events are no batch of their own while others are under way.
const MIN_FURTHER_BATCH: usize = 24;
/// While an append takes its time, how often the worker looks for deadlines that have passed.
const TICK: Duration = Duration::from_millis(20);
/// The first pause before an append is tried again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The pause after a panic of the worker itself.
const AFTER_PANIC: Duration = Duration::from_millis(20);

/// Stops the queue when the worker ends, however it does: its runtime may drop it at any time, also before its first
/// poll.
impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

impl Worker {
    /// Runs until the queue is closed and everything is settled.
    ///
    /// A panic in it costs the batch that it happened in at the most: the worker goes on with what it has under way.
    pub(super) async fn run(self) {
        let mut under_way = BatchInFlight {
            writing: BatchesInFlight::new(),
            batches: Vec::with_capacity(self.parallel),
            next: Batch::default(),
            tidying: None,
            is_untidy: false,
            quiet: IdleTimer::new(),
        };
        while AssertUnwindSafe(self.work(&mut under_way)).catch_unwind().await.is_err() {
            log_line(|| tracing::error!("the writer of the audit log panicked; it goes on"));
            tokio::time::sleep(AFTER_PANIC).await;
        }
        if let Some(tidying) = under_way.tidying {
            // Whoever closes the store waits for it, or gives up; the worker does not.
            tokio::spawn(tidying);
        }
    }

    async fn work<'a>(&'a self, under_way: &mut BatchInFlight<'a>) {
        if !under_way.next.is_empty() {
            // A panic came between taking it and beginning it.
            self.begin(under_way);
        }
        loop {
            let ready = {
                let BatchInFlight { writing, batches, next, tidying, is_untidy, quiet } = under_way;
                let is_idle = writing.is_empty() && tidying.is_none();
                let take = pin!(self.take(next, batches));
                let quiet = pin!(quiet.elapsed(*is_untidy && is_idle));
                let store = pin!(async {
                    match select(writing.next(), pin!(tidied(tidying))).await {
                        Either::Left((written, _)) => WorkerEvent::Written(written),
                        Either::Right((tidied, _)) => WorkerEvent::Tidied(tidied),
                    }
                });
                match select(store, select(take, quiet)).await {
                    Either::Left((ready, _)) => ready,
                    Either::Right((Either::Left((taken, _)), _)) => WorkerEvent::Taken(taken),
                    Either::Right((Either::Right(((), _)), _)) => WorkerEvent::Quiet,
                }
            };
            match ready {
                WorkerEvent::Taken(true) => self.begin(under_way),
                WorkerEvent::Taken(false) if under_way.writing.is_empty() => return,
                WorkerEvent::Taken(false) => {
                    // What is under way may leave something that the log owes: it is queued behind the end.
                    let written = under_way.writing.next().await;
                    self.settle(&mut under_way.batches, written.first);
                }
                WorkerEvent::Written(written) => {
                    self.settle(&mut under_way.batches, written.first);
                    under_way.next = written.emptied;
                    under_way.is_untidy = true;
                    under_way.quiet.restart();
                }
                WorkerEvent::Quiet => {
                    let store = Arc::clone(&self.store);
                    under_way.tidying = Some(Box::pin(async move { catch_store_panic(|| store.maintain()).await }));
                }
                WorkerEvent::Tidied(result) => {
                    under_way.tidying = None;
                    under_way.is_untidy = self.damage.is_untidy(result);
                    under_way.quiet.restart();
                }
            }
        }
    }

    /// Begins to write the batch that was taken.
    fn begin<'a>(&'a self, under_way: &mut BatchInFlight<'a>) {
        let batch = std::mem::take(&mut under_way.next);
        let first = batch.first();
        under_way.batches.push(BatchUnderWay { first, events: batch.len() });
        self.counters.at_store(under_way.batches.iter().map(|batch| batch.events).sum());
        let written = AssertUnwindSafe(self.write(batch, first)).catch_unwind();
        under_way.writing.push(async move {
            // Those who waited for the batch have been told by its end.
            written.await.unwrap_or_else(|_| FinishedBatch { first, emptied: Batch::default() })
        });
    }

    /// Takes what waits, when it is time for a batch beside these. False: the queue is closed and empty.
    async fn take(&self, batch: &mut Batch, under_way: &[BatchUnderWay]) -> bool {
        let at_least = match under_way.len() {
            0 => 1,
            some if some < self.parallel => {
                let events: usize = under_way.iter().map(|batch| batch.events).sum();
                events.max(MIN_FURTHER_BATCH).min(self.max_batch)
            }
            _ => return pending().await,
        };
        self.queue.take(batch, at_least, self.max_batch).await
    }

    /// Says up to where everything is settled: batches end in any order.
    fn settle(&self, under_way: &mut Vec<BatchUnderWay>, written: u64) {
        under_way.retain(|batch| batch.first != written);
        self.counters.at_store(under_way.iter().map(|batch| batch.events).sum());
        let first = under_way.iter().map(|batch| batch.first).min();
        self.settled.send_replace(first.unwrap_or_else(|| self.queue.first()));
    }

    /// Appends the batch and answers everyone in it.
    ///
    /// An append that fails for now is tried again while somebody still waits for it. When the store refuses a batch
    /// for good, its halves are tried by themselves, so that no event can take others down with it.
    async fn write(&self, batch: Batch, first: u64) -> FinishedBatch {
        let mut emptied = Batch::default();
        let mut rest = vec![batch];
        let mut has_panicked = false;
        while let Some(mut part) = rest.pop() {
            if let Err(cause) = self.write_part(&mut part, &mut rest, &mut has_panicked).await {
                if part.len() > 1 && cause.kind() == StoreErrorKind::Permanent {
                    let half = part.split_off(part.len() / 2);
                    rest.extend([half, part]);
                    continue;
                }
                self.fail(&mut part, Arc::new(cause));
            }
            part.clear();
            emptied = part;
        }
        FinishedBatch { first, emptied }
    }

    /// Tries until the store answers, fails for good, or nobody waits any longer. The rest waits meanwhile.
    async fn write_part(
        &self,
        part: &mut Batch,
        rest: &mut [Batch],
        has_panicked: &mut bool,
    ) -> Result<(), StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            // The future is driven to its end even when everyone has stopped waiting: the contract of a store.
            let result = match self.append(part, rest).await {
                Err(StoreFailure::Panic) if !*has_panicked => {
                    // It may not be the batch's fault: a line that could not be logged, say.
                    *has_panicked = true;
                    Err(panic_error(StoreErrorKind::Transient))
                }
                result => result.map_err(StoreError::from),
            };
            match result {
                Ok(()) => {
                    let open = part.waiters.iter().filter(|waiter| waiter.is_open()).count();
                    add(&self.counters.written, open);
                    add(&self.counters.batches, 1);
                    for (waiter, event) in part.waiters.iter_mut().zip(&part.events) {
                        if waiter.answer(Ok(())) {
                            self.end_not_run(event);
                        }
                    }
                    return Ok(());
                }
                Err(cause) => {
                    part.retain(|waiter| waiter.is_owed());
                    let is_over = self.queue.is_closed() && !part.waiters.iter().any(Waiter::is_open);
                    if part.is_empty() || is_over || !cause.is_transient() {
                        return Err(cause);
                    }
                    add(&self.counters.retries, 1);
                    if let Some(unsaid) = self.retries.say() {
                        let (error, events) = (chain(&cause).to_string(), part.len());
                        log_line(move || {
                            tracing::warn!(error, events, unsaid, "audit append failed, trying again");
                        });
                    }
                }
            }
            let until = Instant::now() + pause;
            while Instant::now() < until {
                tokio::time::sleep_until(until.min(Instant::now() + TICK)).await;
                self.expire(&mut part.waiters, rest);
            }
            part.retain(|waiter| waiter.is_owed());
            if part.is_empty() {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One append, during which deadlines go on passing.
    async fn append(&self, part: &mut Batch, rest: &mut [Batch]) -> Result<(), StoreFailure> {
        let Batch { events, waiters } = part;
        let mut append = pin!(call_store(|| self.store.append(events)));
        loop {
            match tokio::time::timeout(TICK, append.as_mut()).await {
                Ok(result) => return result,
                Err(_) => self.expire(waiters, rest),
            }
        }
    }

    /// Answers whoever has waited long enough: in the batch and in the queue.
    fn expire(&self, waiters: &mut [Waiter], rest: &mut [Batch]) {
        let now = Instant::now();
        let mut expired = 0;
        let rest = rest.iter_mut().flat_map(|batch| &mut batch.waiters);
        for waiter in rest.chain(waiters).filter(|waiter| waiter.is_expired(now)) {
            waiter.answer(Err(RecordError::new(RecordErrorKind::Timeout)));
            expired += 1;
        }
        add(&self.counters.expired, expired + self.queue.expire(now));
    }

    /// Ends a `started` event that the store has kept after its caller was told that it is not written.
    fn end_not_run(&self, started: &AuditEvent) {
        if !self.queue.owe(closing_events::not_run(started)) {
            let event_id = started.event_id;
            log_line(move || {
                tracing::error!(
                    %event_id,
                    "too many refused requests wait for their end: this audit event stays open until the next start"
                );
            });
        }
    }

    fn fail(&self, part: &mut Batch, cause: Arc<StoreError>) {
        add(&self.counters.failed, part.waiters.iter().filter(|waiter| waiter.is_open()).count());
        for (waiter, event) in part.waiters.iter_mut().zip(&part.events) {
            let error = RecordError::store(Arc::clone(&cause));
            if waiter.is_the_logs() {
                // Callers say it themselves.
                self.refusals.note(event.event_id, &error);
            }
            waiter.answer(Err(error));
        }
    }
}

/// What the housekeeping under way comes to; never ready while there is none.
async fn tidied(tidying: &mut Option<Tidying>) -> Result<bool, StoreError> {
    match tidying {
        Some(tidying) => tidying.await,
        None => pending().await,
    }
}
