//! The one task that appends to the store.
//!
//! It has as many batches under way as the store serves well. The first begins as soon as anything waits; a further one
//! when as much waits as is under way, or when one that is under way takes long. So batches grow with the load, and an
//! append that hangs does not stop the others.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, pending, select};
use tokio::sync::watch;
use tokio::time::Instant;

use super::endings;
use super::error::{RecordError, RecordErrorKind};
use super::queue::{Batch, Queue, Waiter};
use super::quiet::Quiet;
use super::stats::{Counters, add};
use super::writing::Writing;
use crate::event::AuditEvent;
use crate::store::{AuditStore, StoreError, StoreErrorKind};

/// The worker of a log: owns the order of the appends, and answers those who wait.
pub(super) struct Worker {
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) queue: Arc<Queue>,
    pub(super) counters: Arc<Counters>,
    /// The number of the first event that is not settled, for those who wait for all before them.
    pub(super) settled: watch::Sender<u64>,
    pub(super) max_batch: usize,
    /// How many appends may be under way.
    pub(super) parallel: usize,
}

/// A batch that is being written.
struct UnderWay {
    /// The number of the first of its events.
    first: u64,
    events: usize,
}

/// What the worker has waited for.
enum Ready {
    Written(Written),
    /// False: there will be no more.
    Taken(bool),
    /// Nobody has come for a while.
    Quiet,
}

/// A batch whose events are all settled.
struct Written {
    /// The number of the first of them.
    first: u64,
    /// The vectors, to be used again.
    emptied: Batch,
}

/// How few events are no batch of their own while others are under way.
const FURTHER: usize = 24;
/// While an append takes its time, how often the worker looks for deadlines that have passed.
const TICK: Duration = Duration::from_millis(20);
/// The first pause before an append is tried again; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Worker {
    /// Runs until the queue is closed and everything is settled.
    pub(super) async fn run(self) {
        let mut writing = Writing::new();
        let mut under_way = Vec::with_capacity(self.parallel);
        let mut next = Batch::default();
        let mut quiet = Quiet::new();
        // Whether the store may have something to tidy up.
        let mut untidy = false;
        loop {
            let ready = {
                let take = pin!(self.take(&mut next, &under_way));
                let quiet = pin!(quiet.over(untidy && writing.is_empty()));
                match select(writing.next(), select(take, quiet)).await {
                    Either::Left((written, _)) => Ready::Written(written),
                    Either::Right((Either::Left((taken, _)), _)) => Ready::Taken(taken),
                    Either::Right((Either::Right(((), _)), _)) => Ready::Quiet,
                }
            };
            match ready {
                Ready::Taken(true) => {
                    let first = next.first();
                    under_way.push(UnderWay { first, events: next.len() });
                    writing.push(self.write(std::mem::take(&mut next), first));
                }
                Ready::Taken(false) if writing.is_empty() => break,
                Ready::Taken(false) => {
                    // What is under way may leave something that the log owes: it is queued behind the end.
                    let written = writing.next().await;
                    self.settle(&mut under_way, written.first);
                }
                Ready::Written(written) => {
                    self.settle(&mut under_way, written.first);
                    next = written.emptied;
                    untidy = true;
                    quiet.begins();
                }
                Ready::Quiet => {
                    untidy = self.tidy().await;
                    quiet.begins();
                }
            }
        }
    }

    /// Takes what waits, when it is time for a batch beside these. False: the queue is closed and empty.
    async fn take(&self, batch: &mut Batch, under_way: &[UnderWay]) -> bool {
        let at_least = match under_way.len() {
            0 => 1,
            some if some < self.parallel => {
                let events: usize = under_way.iter().map(|batch| batch.events).sum();
                events.max(FURTHER).min(self.max_batch)
            }
            _ => return pending().await,
        };
        self.queue.take(batch, at_least, self.max_batch).await
    }

    /// Says up to where everything is settled: batches end in any order.
    fn settle(&self, under_way: &mut Vec<UnderWay>, written: u64) {
        under_way.retain(|batch| batch.first != written);
        let first = under_way.iter().map(|batch| batch.first).min();
        self.settled.send_replace(first.unwrap_or_else(|| self.queue.first()));
    }

    /// Appends the batch and answers everyone in it.
    ///
    /// An append that fails for now is tried again while somebody still waits for it. When the store refuses a batch
    /// for good, its halves are tried by themselves, so that no event can take others down with it.
    async fn write(&self, batch: Batch, first: u64) -> Written {
        let mut emptied = Batch::default();
        let mut rest = vec![batch];
        while let Some(mut part) = rest.pop() {
            if let Err(cause) = self.write_part(&mut part, &mut rest).await {
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
        Written { first, emptied }
    }

    /// Tries until the store answers, fails for good, or nobody waits any longer. The rest waits meanwhile.
    async fn write_part(&self, part: &mut Batch, rest: &mut [Batch]) -> Result<(), StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            // The future is driven to its end even when everyone has stopped waiting: the contract of a store.
            match self.append(part, rest).await {
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
                    tracing::warn!(
                        error = &cause as &dyn std::error::Error,
                        events = part.len(),
                        "audit append failed, trying again"
                    );
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
    async fn append(&self, part: &mut Batch, rest: &mut [Batch]) -> Result<(), StoreError> {
        let Batch { events, waiters } = part;
        let mut append = pin!(guarded(|| self.store.append(events)));
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
        for waiter in rest.chain(waiters).filter(|waiter| waiter.is_due(now)) {
            waiter.answer(Err(RecordError::new(RecordErrorKind::Deadline)));
            expired += 1;
        }
        if expired > 0 {
            add(&self.counters.expired, expired);
            tracing::error!(events = expired, "audit events not acknowledged within the write deadline");
        }
        let unwritten = self.queue.expire(now);
        if unwritten > 0 {
            add(&self.counters.expired, unwritten);
            tracing::error!(events = unwritten, "audit events not written within the write deadline");
        }
    }

    /// Ends a `started` event that the store has kept after its caller was told that it is not written.
    fn end_not_run(&self, started: &AuditEvent) {
        if !self.queue.owe(endings::not_run(started)) {
            tracing::error!(
                event_id = %started.event_id,
                "too many refused requests wait for their end: this audit event stays open until the next start"
            );
        }
    }

    fn fail(&self, part: &mut Batch, cause: Arc<StoreError>) {
        let failed = part.waiters.iter().filter(|waiter| waiter.is_open()).count();
        if failed == 0 {
            return;
        }
        add(&self.counters.failed, failed);
        tracing::error!(
            error = &*cause as &dyn std::error::Error,
            events = failed,
            first_event_id = part.events.first().map(|event| tracing::field::display(event.event_id)),
            "audit events not written"
        );
        for waiter in &mut part.waiters {
            waiter.answer(Err(RecordError::store(Arc::clone(&cause))));
        }
    }

    /// Gives the store a moment while nobody waits. Whether it may have more to do.
    async fn tidy(&self) -> bool {
        match guarded(|| self.store.tidy()).await {
            Ok(more) => more,
            Err(cause) => {
                tracing::warn!(error = &cause as &dyn std::error::Error, "the audit store could not tidy up");
                false
            }
        }
    }
}

/// A store that panics fails: the worker goes on.
pub(super) async fn guarded<'a, T>(call: impl FnOnce() -> crate::store::StoreFuture<'a, T>) -> Result<T, StoreError> {
    match AssertUnwindSafe(async move { call().await }).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(StoreError::new(StoreErrorKind::Permanent, "audit", "append").with_remedy("the store panicked")),
    }
}
