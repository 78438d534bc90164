//! The queue of events for the worker.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

use super::catch_panic::catch_panic;
use super::error::{RecordError, RecordErrorKind};
use super::limits::{MAX_BATCH_BYTES, MAX_QUEUE_EVENTS};
use crate::event::AuditEvent;

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What waits for the writer, in the order of arrival; bounded in number and in bytes.
///
/// Callers that find no room wait for it outside, one behind the other: only the first of them looks for room, and
/// whoever comes then goes to the end of their line.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<QueueState>,
    bounds: QueueLimits,
    /// Wakes the worker.
    filled: Notify,
    /// Wakes the first of those who found no room.
    drained: Notify,
    /// Which of those who found no room is the first: a fair lock.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct QueueState {
    batch: Batch,
    bytes: usize,
    /// How many of the events the log itself owes.
    owed: usize,
    /// How many events have ever been queued: the number of the next one.
    accepted: u64,
    /// How many events the worker waits for; none while it does not wait.
    needs: Option<usize>,
    /// How many callers wait for room, and how many bytes their events take.
    outside: (usize, usize),
    state: Intake,
}

/// What becomes of events that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Intake {
    #[default]
    Open,
    /// The log was closed. What is queued is still written.
    Closed,
    /// The worker is gone.
    Stopped,
}

impl Intake {
    fn check(self) -> Result<(), RecordError> {
        match self {
            Self::Open => Ok(()),
            Self::Closed => Err(RecordError::new(RecordErrorKind::Closed)),
            Self::Stopped => Err(RecordError::new(RecordErrorKind::Stopped)),
        }
    }
}

/// An event on its way into the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Box<AuditEvent>,
    pub(super) deadline: Instant,
    pub(super) if_refused: IfRefused,
}

impl Entry {
    fn weight(&self) -> usize {
        self.event.weight() + size_of::<Waiter>()
    }
}

/// Events and who waits for them: `events[i]` belongs to `waiters[i]`.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<AuditEvent>,
    pub(super) waiters: Vec<Waiter>,
}

/// An event's place in the queue and in batches.
#[derive(Debug)]
pub(super) struct Waiter {
    owner: EventOwner,
    if_refused: IfRefused,
    /// Events are numbered in the order of their arrival.
    number: u64,
    deadline: Instant,
    bytes: usize,
}

/// Who an event is written for.
#[derive(Debug)]
enum EventOwner {
    /// A caller, who gets the answer.
    Caller(oneshot::Sender<Answer>),
    /// The log itself: it tries until the store has answered.
    Log,
    /// The log itself, after the caller was refused: whether the store has the event decides if it is to be ended.
    Refused,
    /// The caller has the answer, and nothing else is owed.
    Answered,
}

/// What the log does about an event that becomes durable after its caller was told that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfRefused {
    /// Nothing: the event says what happened.
    Leave,
    /// It is a `started` event, and its handler does not run: it is ended by a `completed` event that says so.
    EndNotRun,
}

pub(super) type Answer = Result<(), RecordError>;

impl Waiter {
    /// Gives the answer to whoever waits for it. True: the event is durable, its caller was told otherwise or has gone, and
    /// the log owes it an end.
    pub(super) fn answer(&mut self, answer: Answer) -> bool {
        let is_refusal = answer.is_err();
        let (owner, owes_end) = match std::mem::replace(&mut self.owner, EventOwner::Answered) {
            EventOwner::Caller(sender) => {
                let mut is_heard = true;
                // It wakes the caller's task, and the waker is the code of whatever runs that.
                catch_panic(|| is_heard = sender.send(answer).is_ok());
                match self.if_refused {
                    IfRefused::EndNotRun if is_refusal => (EventOwner::Refused, false),
                    IfRefused::EndNotRun => (EventOwner::Answered, !is_heard),
                    IfRefused::Leave => (EventOwner::Answered, false),
                }
            }
            EventOwner::Refused if is_refusal => (EventOwner::Refused, false),
            EventOwner::Refused => (EventOwner::Answered, true),
            EventOwner::Log | EventOwner::Answered => (EventOwner::Answered, false),
        };
        self.owner = owner;
        owes_end
    }

    /// Takes out whoever waits.
    fn take(&mut self) -> Self {
        Self { owner: std::mem::replace(&mut self.owner, EventOwner::Answered), ..*self }
    }

    /// Whether the event is still to be written for somebody.
    pub(super) fn is_owed(&self) -> bool {
        !matches!(self.owner, EventOwner::Answered)
    }

    /// Whether nothing has been said of the event so far, neither to its caller nor in the numbers.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.owner, EventOwner::Caller(_) | EventOwner::Log)
    }

    /// Whether the log itself owes the event, and no caller has waited for it.
    pub(super) fn is_the_logs(&self) -> bool {
        matches!(self.owner, EventOwner::Log)
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        matches!(self.owner, EventOwner::Caller(_)) && self.deadline <= now
    }
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The number of the first event, of a batch that has one.
    pub(super) fn first(&self) -> u64 {
        self.waiters.first().map_or(u64::MAX, |waiter| waiter.number)
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.waiters.clear();
    }

    /// Keeps the entries whose waiter passes.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Waiter) -> bool) {
        let keeps: Vec<bool> = self.waiters.iter_mut().map(&mut keep).collect();
        let mut verdicts = keeps.iter();
        self.waiters.retain(|_| *verdicts.next().unwrap_or(&true));
        let mut verdicts = keeps.iter();
        self.events.retain(|_| *verdicts.next().unwrap_or(&true));
    }

    /// The entries from `at` on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self { events: self.events.split_off(at), waiters: self.waiters.split_off(at) }
    }
}

impl QueueState {
    /// Queues an event. True: the worker is to be woken.
    fn add(
        &mut self,
        event: AuditEvent,
        bytes: usize,
        deadline: Instant,
        owner: EventOwner,
        if_refused: IfRefused,
    ) -> bool {
        self.batch.events.push(event);
        self.batch.waiters.push(Waiter { owner, if_refused, number: self.accepted, deadline, bytes });
        self.bytes += bytes;
        self.accepted += 1;
        self.needs == Some(self.batch.len())
    }

    /// How many events are the next batch.
    fn next_batch(&self, at_most: usize) -> usize {
        if self.bytes <= MAX_BATCH_BYTES {
            return self.batch.len().min(at_most);
        }
        let mut bytes = 0;
        let fits = |waiter: &&Waiter| {
            bytes += waiter.bytes;
            bytes <= MAX_BATCH_BYTES
        };
        // No event is larger than a batch.
        self.batch.waiters.iter().take(at_most).take_while(fits).count().max(1)
    }
}

/// How many events that the log itself owes may wait at the most.
const MAX_OWED: usize = 4096;

impl Queue {
    pub(super) fn new(bounds: QueueLimits) -> Self {
        Self {
            waiting: Mutex::default(),
            bounds,
            filled: Notify::new(),
            drained: Notify::new(),
            turn: Semaphore::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Nothing under this lock panics half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().batch.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().state != Intake::Open
    }

    /// An error if an event that came now would be refused.
    pub(super) fn check_open(&self) -> Result<(), RecordError> {
        self.lock().state.check()
    }

    /// Whether the worker is gone.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().state == Intake::Stopped
    }

    /// Whether the worker would take an event that comes now.
    pub(super) fn is_awaited(&self) -> bool {
        self.lock().needs.is_some()
    }

    /// How many events have ever been queued.
    pub(super) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    /// The number of the first event that waits, or of the next that comes.
    pub(super) fn first(&self) -> u64 {
        let waiting = self.lock();
        waiting.batch.first().min(waiting.accepted)
    }

    /// Queues the event, if there is room and nobody waits for it already. Returns what its answer will come through.
    pub(super) fn push(&self, entry: Entry) -> Result<PushOutcome, RecordError> {
        self.push_as(entry, false)
    }

    fn push_as(&self, entry: Entry, is_first: bool) -> Result<PushOutcome, RecordError> {
        let bytes = entry.weight();
        let mut waiting = self.lock();
        waiting.state.check()?;
        let has_room = waiting.batch.len() < self.bounds.events && waiting.bytes + bytes <= self.bounds.bytes;
        // An event is never larger than the whole queue may be: alone, it always has room.
        let has_room = has_room || waiting.batch.is_empty();
        if !has_room || (!is_first && waiting.outside.0 > 0) {
            return Ok(PushOutcome::Full(entry));
        }
        let (sender, receiver) = oneshot::channel();
        let Entry { event, deadline, if_refused } = entry;
        let is_enough = waiting.add(*event, bytes, deadline, EventOwner::Caller(sender), if_refused);
        drop(waiting);
        if is_enough {
            self.filled.notify_one();
        }
        Ok(PushOutcome::Queued(receiver))
    }

    /// Queues the event when it is its turn and there is room. The caller bounds the wait.
    ///
    /// Cancel safety: dropped before it is ready, the event is not queued.
    pub(super) async fn push_in_turn(&self, mut entry: Entry) -> Result<oneshot::Receiver<Answer>, RecordError> {
        let _outside = self.wait_outside(entry.weight())?;
        let Ok(_turn) = self.turn.acquire().await else {
            return Err(RecordError::new(RecordErrorKind::Closed));
        };
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            entry = match self.push_as(entry, true)? {
                PushOutcome::Queued(receiver) => return Ok(receiver),
                PushOutcome::Full(entry) => entry,
            };
            drained.await;
        }
    }

    /// Counts a caller that waits for room, until the guard is dropped.
    fn wait_outside(&self, bytes: usize) -> Result<Outside<'_>, RecordError> {
        let mut waiting = self.lock();
        let (callers, their_bytes) = &mut waiting.outside;
        if *callers >= MAX_QUEUE_EVENTS || (*callers > 0 && *their_bytes + bytes > self.bounds.bytes) {
            return Err(RecordError::new(RecordErrorKind::QueueFull));
        }
        *callers += 1;
        *their_bytes += bytes;
        Ok(Outside { queue: self, bytes })
    }

    /// Queues an event that the log itself owes, beyond the bounds of the queue and after its end. False: as many as
    /// [`MAX_OWED`] wait already.
    pub(super) fn owe(&self, event: AuditEvent) -> bool {
        let bytes = event.weight() + size_of::<Waiter>();
        let mut waiting = self.lock();
        if waiting.owed >= MAX_OWED || waiting.state == Intake::Stopped {
            return false;
        }
        waiting.owed += 1;
        let is_enough = waiting.add(event, bytes, Instant::now(), EventOwner::Log, IfRefused::Leave);
        drop(waiting);
        if is_enough {
            self.filled.notify_one();
        }
        true
    }

    /// Takes up to `at_most` events and [`MAX_BATCH_BYTES`] into the empty `batch`, as soon as `at_least` wait, or
    /// [`expire`](Self::expire) finds some that are fewer. False: the queue is closed and empty.
    ///
    /// Cancel safety: dropped before it is ready, nothing is taken.
    pub(super) async fn take(&self, batch: &mut Batch, at_least: usize, at_most: usize) -> bool {
        self.lock().needs = Some(at_least.min(self.bounds.events));
        loop {
            {
                let mut waiting = self.lock();
                let is_closed = waiting.state != Intake::Open;
                if is_closed && waiting.batch.is_empty() {
                    return false;
                }
                if is_closed || waiting.needs.is_none_or(|needs| waiting.batch.len() >= needs) {
                    let events = waiting.next_batch(at_most);
                    if events == waiting.batch.len() {
                        std::mem::swap(&mut waiting.batch, batch);
                        waiting.bytes = 0;
                        waiting.owed = 0;
                    } else {
                        let rest = waiting.batch.split_off(events);
                        *batch = std::mem::replace(&mut waiting.batch, rest);
                        waiting.bytes -= batch.waiters.iter().map(|waiter| waiter.bytes).sum::<usize>();
                        waiting.owed = waiting.batch.waiters.iter().filter(|waiter| waiter.is_the_logs()).count();
                    }
                    waiting.needs = None;
                    let is_waited_for = waiting.outside.0 > 0;
                    drop(waiting);
                    if is_waited_for {
                        self.wake_first_outside();
                    }
                    return true;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Answers those in the queue whose deadline has passed and forgets their events. Says how many. Those that are left
    /// have waited long enough for others to come: the worker, if it waits for more, is woken.
    pub(super) fn expire(&self, now: Instant) -> usize {
        let mut waiting = self.lock();
        let len = waiting.batch.len();
        if let Some(needs) = &mut waiting.needs
            && len < *needs
        {
            *needs = 1;
            self.filled.notify_one();
        }
        if !waiting.batch.waiters.iter().any(|waiter| waiter.is_expired(now)) {
            return 0;
        }
        let mut due = Vec::new();
        waiting.batch.retain(|waiter| {
            let is_due = waiter.is_expired(now);
            if is_due {
                due.push(waiter.take());
            }
            !is_due
        });
        waiting.bytes -= due.iter().map(|waiter| waiter.bytes).sum::<usize>();
        drop(waiting);
        // Not under the lock: an answer wakes a caller, and the waker may use the log.
        for waiter in &mut due {
            waiter.answer(Err(RecordError::new(RecordErrorKind::Timeout)));
        }
        self.wake_first_outside();
        due.len()
    }

    /// Refuses everything from here on. What is queued stays.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        if waiting.state == Intake::Open {
            waiting.state = Intake::Closed;
        }
        drop(waiting);
        self.wake_all();
    }

    /// The worker is gone: refuses everything, and lets go of what is queued, whose callers learn of it. Not so if it has
    /// done all that it was there for.
    pub(super) fn stop(&self) {
        let mut waiting = self.lock();
        if waiting.state == Intake::Closed && waiting.batch.is_empty() {
            return;
        }
        waiting.state = Intake::Stopped;
        waiting.needs = None;
        (waiting.bytes, waiting.owed) = (0, 0);
        let left = std::mem::take(&mut waiting.batch);
        drop(waiting);
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

/// A caller that waits for room.
struct Outside<'a> {
    queue: &'a Queue,
    bytes: usize,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        let (callers, their_bytes) = &mut waiting.outside;
        *callers -= 1;
        *their_bytes -= self.bytes;
    }
}

/// What became of an event that was to be queued.
#[derive(Debug)]
pub(super) enum PushOutcome {
    Queued(oneshot::Receiver<Answer>),
    Full(Entry),
}
