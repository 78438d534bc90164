//! What waits for the writer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::error::{RecordError, RecordErrorKind};
use crate::event::{AuditEvent, Text};

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What waits for the writer, in the order of arrival; bounded in number and in bytes.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    bounds: Bounds,
    /// Wakes the worker.
    filled: Notify,
    /// Wakes those who found no room.
    drained: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    bytes: usize,
    /// How many of the events the log itself owes.
    owed: usize,
    /// How many events have ever been queued: the number of the next one.
    accepted: u64,
    /// How many must wait for the worker to be woken.
    wanted: usize,
    closed: bool,
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
    owner: Owner,
    if_refused: IfRefused,
    /// Events are numbered in the order of their arrival.
    number: u64,
    deadline: Instant,
    bytes: usize,
}

/// Who an event is written for.
#[derive(Debug)]
enum Owner {
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
        let (owner, owes_end) = match std::mem::replace(&mut self.owner, Owner::Answered) {
            Owner::Caller(sender) => {
                let is_heard = sender.send(answer).is_ok();
                match self.if_refused {
                    IfRefused::EndNotRun if is_refusal => (Owner::Refused, false),
                    IfRefused::EndNotRun => (Owner::Answered, !is_heard),
                    IfRefused::Leave => (Owner::Answered, false),
                }
            }
            Owner::Refused if is_refusal => (Owner::Refused, false),
            Owner::Refused => (Owner::Answered, true),
            Owner::Log | Owner::Answered => (Owner::Answered, false),
        };
        self.owner = owner;
        owes_end
    }

    /// Whether the event is still to be written for somebody.
    pub(super) fn is_owed(&self) -> bool {
        !matches!(self.owner, Owner::Answered)
    }

    /// Whether nothing has been said of the event so far, neither to its caller nor in the numbers.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.owner, Owner::Caller(_) | Owner::Log)
    }

    fn is_the_logs(&self) -> bool {
        matches!(self.owner, Owner::Log)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.owner, Owner::Caller(_)) && self.deadline <= now
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

impl Waiting {
    /// Queues an event. True: the worker is to be woken.
    fn add(&mut self, event: AuditEvent, bytes: usize, deadline: Instant, owner: Owner, if_refused: IfRefused) -> bool {
        self.batch.events.push(event);
        self.batch.waiters.push(Waiter { owner, if_refused, number: self.accepted, deadline, bytes });
        self.bytes += bytes;
        self.accepted += 1;
        self.batch.len() == self.wanted
    }
}

/// How many events that the log itself owes may wait at the most.
const MAX_OWED: usize = 4096;

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { waiting: Mutex::default(), bounds, filled: Notify::new(), drained: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under this lock panics half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().batch.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
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

    /// Queues the event, waiting for room until the deadline, and returns what its answer will come through.
    ///
    /// Cancel safety: dropped before it is ready, the event is not queued.
    pub(super) async fn push(
        &self,
        event: Box<AuditEvent>,
        deadline: Instant,
        if_refused: IfRefused,
    ) -> Result<oneshot::Receiver<Answer>, RecordError> {
        match self.try_push(event, deadline, if_refused)? {
            Pushed::Queued(receiver) => Ok(receiver),
            // Boxed, because it is rare and every request would carry the room for it.
            Pushed::NoRoom(event) => Box::pin(self.push_later(event, deadline, if_refused)).await,
        }
    }

    /// Queues the event when there is room.
    async fn push_later(
        &self,
        mut entry: Box<AuditEvent>,
        deadline: Instant,
        if_refused: IfRefused,
    ) -> Result<oneshot::Receiver<Answer>, RecordError> {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            entry = match self.try_push(entry, deadline, if_refused)? {
                Pushed::Queued(receiver) => return Ok(receiver),
                Pushed::NoRoom(event) => event,
            };
            if tokio::time::timeout_at(deadline, drained).await.is_err() {
                return Err(RecordError::new(RecordErrorKind::QueueFull));
            }
        }
    }

    pub(super) fn try_push(
        &self,
        event: Box<AuditEvent>,
        deadline: Instant,
        if_refused: IfRefused,
    ) -> Result<Pushed, RecordError> {
        let bytes = weight(&event);
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(RecordError::new(RecordErrorKind::Closed));
        }
        let has_room = waiting.batch.len() < self.bounds.events && waiting.bytes + bytes <= self.bounds.bytes;
        // An event is never larger than the whole queue may be: alone, it always has room.
        if !has_room && !waiting.batch.is_empty() {
            return Ok(Pushed::NoRoom(event));
        }
        let (sender, receiver) = oneshot::channel();
        let is_enough = waiting.add(*event, bytes, deadline, Owner::Caller(sender), if_refused);
        drop(waiting);
        if is_enough {
            self.filled.notify_one();
        }
        Ok(Pushed::Queued(receiver))
    }

    /// Queues an event that the log itself owes, beyond the bounds of the queue and after its end. False: as many as
    /// [`MAX_OWED`] wait already.
    pub(super) fn owe(&self, event: AuditEvent) -> bool {
        let bytes = weight(&event);
        let mut waiting = self.lock();
        if waiting.owed >= MAX_OWED {
            return false;
        }
        waiting.owed += 1;
        let is_enough = waiting.add(event, bytes, Instant::now(), Owner::Log, IfRefused::Leave);
        drop(waiting);
        if is_enough {
            self.filled.notify_one();
        }
        true
    }

    /// Takes up to `at_most` events into the empty `batch`, as soon as `at_least` wait, or [`expire`](Self::expire) finds
    /// some that are fewer. False: the queue is closed and empty.
    ///
    /// Cancel safety: dropped before it is ready, nothing is taken.
    pub(super) async fn take(&self, batch: &mut Batch, at_least: usize, at_most: usize) -> bool {
        self.lock().wanted = at_least.min(self.bounds.events);
        loop {
            {
                let mut waiting = self.lock();
                if waiting.closed && waiting.batch.is_empty() {
                    return false;
                }
                if waiting.closed || waiting.batch.len() >= waiting.wanted {
                    if waiting.batch.len() <= at_most {
                        std::mem::swap(&mut waiting.batch, batch);
                        waiting.bytes = 0;
                        waiting.owed = 0;
                    } else {
                        let rest = waiting.batch.split_off(at_most);
                        *batch = std::mem::replace(&mut waiting.batch, rest);
                        waiting.bytes -= batch.waiters.iter().map(|waiter| waiter.bytes).sum::<usize>();
                        waiting.owed = waiting.batch.waiters.iter().filter(|waiter| waiter.is_the_logs()).count();
                    }
                    waiting.wanted = usize::MAX;
                    self.drained.notify_waiters();
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
        if waiting.batch.len() < waiting.wanted && waiting.wanted != usize::MAX {
            waiting.wanted = 1;
            self.filled.notify_one();
        }
        if !waiting.batch.waiters.iter().any(|waiter| waiter.is_due(now)) {
            return 0;
        }
        let before = waiting.batch.len();
        let mut freed = 0;
        waiting.batch.retain(|waiter| {
            let due = waiter.is_due(now);
            if due {
                freed += waiter.bytes;
                waiter.answer(Err(RecordError::new(RecordErrorKind::Deadline)));
            }
            !due
        });
        waiting.bytes -= freed;
        let expired = before - waiting.batch.len();
        drop(waiting);
        self.drained.notify_waiters();
        expired
    }

    /// Refuses everything from here on. What is queued stays.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }
}

/// What became of an event that was to be queued.
#[derive(Debug)]
pub(super) enum Pushed {
    Queued(oneshot::Receiver<Answer>),
    NoRoom(Box<AuditEvent>),
}

/// About how many bytes of memory an event takes while it waits.
fn weight(event: &AuditEvent) -> usize {
    const FIXED: usize = size_of::<AuditEvent>() + size_of::<Waiter>();
    fn text(text: &Option<Text>) -> usize {
        text.as_ref().map_or(0, |text| text.len())
    }
    fn value_of(value: &serde_json::Value) -> usize {
        use serde_json::Value;
        const NODE: usize = size_of::<Value>();
        NODE + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_of).sum(),
            Value::Object(entries) => object(entries),
            _ => 0,
        }
    }
    fn object(entries: &crate::event::Details) -> usize {
        const ENTRY: usize = size_of::<String>() + 16;
        entries.iter().map(|(key, entry)| ENTRY + key.len() + value_of(entry)).sum()
    }
    FIXED
        + text(&event.actor.user_email)
        + text(&event.actor.api_key_hash)
        + text(&event.actor.remote_addr)
        + text(&event.resource.route)
        + text(&event.resource.method)
        + text(&event.request.request_uri)
        + text(&event.request.user_agent)
        + text(&event.request.forwarded)
        + text(&event.request.request_id)
        + object(&event.details)
        + object(&event.extra)
}
