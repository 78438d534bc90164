//! The queue of events for the worker.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

use super::batch::Batch;
use super::catch_panic::catch_panic;
use super::error::{RecordError, RecordErrorKind};
use super::limits::MAX_BATCH_BYTES;
use super::owed_events::{DebtCaller, OwedEvents};
use super::waiter::{Answer, IfRefused, Waiter};
use crate::event::{AuditEvent, BoundedEvent, EventId};

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// The time for which the log may owe an event before the health check reports it.
    pub(super) timeout: Duration,
}

/// The events that wait for the worker, in the order of arrival, bounded in number and in bytes; beside them those that
/// the log owes.
///
/// Callers that find no room wait for it outside, in a line. Only the first of the line looks for room, and later
/// callers join its end.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    pub(super) limits: QueueLimits,
    /// Wakes the worker.
    pub(super) filled: Notify,
    /// Wakes the first caller outside.
    pub(super) drained: Notify,
    /// The line of the callers outside: a fair lock.
    pub(super) turn: Semaphore,
}

#[derive(Debug)]
pub(super) struct QueueState {
    batch: Batch,
    bytes: usize,
    pub(super) owed: OwedEvents,
    /// The number of the next event: that of all events ever queued.
    pub(super) accepted: u64,
    /// The number of batches that the worker has taken.
    taken: u64,
    /// The number of events that the worker waits for; none while it does not wait.
    needs: Option<usize>,
    /// The number of callers outside, and the memory of their events.
    pub(super) outside: (usize, usize),
    /// An event that counted as settled waits for an append again: the worker publishes it.
    pub(super) is_unsettled_again: bool,
    /// The worker has written everything after the close.
    pub(super) is_over: bool,
    pub(super) intake: Intake,
}

/// The answer to events that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    Open,
    /// The log was closed. Queued events are still written, until then.
    Closed(Instant),
    /// The worker is gone.
    Stopped,
}

impl Intake {
    fn check(self) -> Result<(), RecordError> {
        match self {
            Self::Open => Ok(()),
            Self::Closed(_) => Err(RecordError::new(RecordErrorKind::Closed)),
            Self::Stopped => Err(RecordError::new(RecordErrorKind::Stopped)),
        }
    }
}

/// An event on its way into the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: BoundedEvent,
    pub(super) deadline: Instant,
    pub(super) if_refused: IfRefused,
}

/// The next work of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// A batch of events of callers.
    Events,
    /// A batch of events that the log owes.
    Owed,
    /// None, but an event that counted as settled waits for an append again.
    Nothing,
    /// None: the queue is closed and empty.
    Closed,
}

/// Returns the memory of a queued event.
pub(super) fn weight(event: &AuditEvent) -> usize {
    event.weight() + size_of::<Waiter>()
}

impl Queue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        let state = QueueState {
            batch: Batch::default(),
            bytes: 0,
            owed: OwedEvents::new(),
            accepted: 0,
            taken: 0,
            needs: None,
            outside: (0, 0),
            is_unsettled_again: false,
            is_over: false,
            intake: Intake::Open,
        };
        Self {
            state: Mutex::new(state),
            limits,
            filled: Notify::new(),
            drained: Notify::new(),
            turn: Semaphore::new(1),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, QueueState> {
        // No code panics under this lock half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of queued events.
    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.batch.len() + state.owed.waiting()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().intake != Intake::Open
    }

    /// Returns an error if an event that arrives now would be rejected.
    pub(super) fn check_open(&self) -> Result<(), RecordError> {
        self.lock().intake.check()
    }

    /// Returns true if the worker is gone.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().intake == Intake::Stopped
    }

    /// Returns true if the log was closed and the time to write the queued events is over.
    pub(super) fn is_given_up(&self) -> bool {
        match self.lock().intake {
            Intake::Open => false,
            Intake::Closed(deadline) => deadline <= Instant::now(),
            Intake::Stopped => true,
        }
    }

    /// Returns true if the worker would take an event that arrives now.
    pub(super) fn is_awaited(&self) -> bool {
        self.lock().needs.is_some()
    }

    /// Returns the number of batches that the worker has taken.
    pub(super) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Returns the number of all events ever queued.
    pub(super) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    /// Returns the number of the first queued event, or of the next that arrives.
    pub(super) fn first(&self) -> u64 {
        let state = self.lock();
        state.batch.first().min(state.owed.lowest()).min(state.accepted)
    }

    /// Queues the event, if there is room and no caller waits for room already. Returns the receiver of its answer.
    pub(super) fn push(&self, entry: Entry) -> Result<PushOutcome, RecordError> {
        self.push_as(entry, false)
    }

    pub(super) fn push_as(&self, entry: Entry, is_first: bool) -> Result<PushOutcome, RecordError> {
        let bytes = weight(&entry.event);
        let mut state = self.lock();
        state.intake.check()?;
        let has_room = state.batch.len() < self.limits.events && state.bytes + bytes <= self.limits.bytes;
        // An event is never larger than the whole queue may be: alone, it always has room.
        let has_room = has_room || state.batch.is_empty();
        if !has_room || (!is_first && state.outside.0 > 0) {
            return Ok(PushOutcome::Full(entry));
        }
        let Entry { event, deadline, if_refused } = entry;
        let (waiter, receiver) = Waiter::of_caller(if_refused, state.accepted, bytes, deadline);
        state.batch.push(*event.into_inner(), waiter);
        state.bytes += bytes;
        state.accepted += 1;
        let is_enough = state.needs == Some(state.batch.len());
        drop(state);
        if is_enough {
            self.filled.notify_one();
        }
        Ok(PushOutcome::Queued(receiver))
    }

    /// Takes the next batch into the empty `batch`: events of callers as soon as `at_least` of them wait or
    /// [`expire`](Self::expire) has waited for more, or events that the log owes when they are due. A batch has at most
    /// `at_most` events and [`MAX_BATCH_BYTES`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no event is taken.
    pub(super) async fn take(&self, batch: &mut Batch, at_least: usize, at_most: usize) -> Taken {
        self.lock().needs = Some(at_least.min(self.limits.events));
        loop {
            let next = {
                let mut state = self.lock();
                if std::mem::take(&mut state.is_unsettled_again) {
                    return Taken::Nothing;
                }
                let now = Instant::now();
                let give_up_at = match state.intake {
                    Intake::Open => None,
                    Intake::Closed(deadline) => Some(deadline),
                    Intake::Stopped => Some(now),
                };
                let is_given_up = give_up_at.is_some_and(|deadline| deadline <= now);
                if give_up_at.is_some() && state.batch.is_empty() && (is_given_up || state.owed.is_idle()) {
                    return Taken::Closed;
                }
                let is_ready = !state.batch.is_empty()
                    && (give_up_at.is_some() || state.needs.is_none_or(|needs| state.batch.len() >= needs));
                if state.owed.is_due(now, is_ready) {
                    *batch = state.owed.take(at_most);
                    state.needs = None;
                    state.taken += 1;
                    return Taken::Owed;
                }
                if is_ready {
                    self.take_events(state, batch, at_most);
                    return Taken::Events;
                }
                state.owed.next().into_iter().chain(give_up_at).min()
            };
            match next {
                Some(next) => drop(tokio::time::timeout_at(next, self.filled.notified()).await),
                None => self.filled.notified().await,
            }
        }
    }

    fn take_events(&self, mut state: MutexGuard<'_, QueueState>, batch: &mut Batch, at_most: usize) {
        let is_whole = state.batch.len() <= at_most && state.bytes <= MAX_BATCH_BYTES;
        if is_whole {
            std::mem::swap(&mut state.batch, batch);
            state.bytes = 0;
        } else {
            let count = state.batch.front(at_most, MAX_BATCH_BYTES);
            let others = state.batch.split_off(count);
            *batch = std::mem::replace(&mut state.batch, others);
            state.bytes -= batch.bytes();
        }
        state.needs = None;
        state.taken += 1;
        let has_callers_outside = state.outside.0 > 0;
        drop(state);
        if has_callers_outside {
            self.wake_first_outside();
        }
    }

    /// Answers the queued events whose deadline has passed and removes them, but those that the log owes. Returns the
    /// number of answers. The worker, if it waits for more events, is woken: the others have waited long enough.
    pub(super) fn expire(&self, now: Instant) -> usize {
        let mut state = self.lock();
        let len = state.batch.len();
        if let Some(needs) = &mut state.needs
            && len < *needs
        {
            *needs = 1;
            self.filled.notify_one();
        }
        if !state.batch.waiters.iter().any(|waiter| waiter.is_expired(now)) {
            return 0;
        }
        let mut due = state.batch.extract(|waiter, _| waiter.is_expired(now));
        state.bytes -= due.bytes();
        drop(state);
        // Not under the lock: an answer wakes a caller, and the waker may use the log.
        let mut expired = 0;
        for (waiter, event) in due.waiters.iter_mut().zip(&due.events) {
            expired += usize::from(self.expire_waiter(waiter, event.event_id));
        }
        // The store never had a `started` event of these: there is none to end.
        due.extract(|waiter, _| !waiter.is_the_logs());
        if !due.is_empty() {
            self.put_behind(due);
        }
        self.wake_first_outside();
        expired
    }

    /// Answers a caller whose deadline has passed. Returns true if its event counts as timed out: not if it is held, which its
    /// caller counts.
    pub(super) fn expire_waiter(&self, waiter: &mut Waiter, id: EventId) -> bool {
        let is_held = waiter.is_to_be_held() && {
            let overdue_at = Instant::now() + self.limits.timeout;
            self.lock().owed.register(id, waiter.bytes, overdue_at, DebtCaller::Unheard)
        };
        let is_heard = waiter.expire(is_held);
        if is_held && !is_heard {
            self.release(id);
        }
        !(is_held && is_heard)
    }

    /// Rejects all events from here on. Queued events are written until the deadline.
    pub(super) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        if state.intake == Intake::Open {
            state.intake = Intake::Closed(deadline);
            state.owed.hurry();
        }
        drop(state);
        self.wake_all();
    }

    /// Rejects all events, because the worker is gone, and drops those that are queued, whose callers learn of it. Does
    /// nothing if the worker has done its work.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        if matches!(state.intake, Intake::Closed(_)) && state.batch.is_empty() {
            return;
        }
        state.intake = Intake::Stopped;
        state.needs = None;
        state.bytes = 0;
        let left = std::mem::take(&mut state.batch);
        drop(state.owed.take_all());
        drop(state);
        for waiter in left.waiters {
            catch_panic(|| drop(waiter));
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        self.filled.notify_one();
        self.wake_first_outside();
    }

    fn wake_first_outside(&self) {
        catch_panic(|| self.drained.notify_one());
    }
}

/// The outcome of queuing an event.
#[derive(Debug)]
pub(super) enum PushOutcome {
    Queued(oneshot::Receiver<Answer>),
    Full(Entry),
}
