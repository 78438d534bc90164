//! Events that the log itself owes, because no caller waits for them.
//!
//! They have batches of their own, so that one that the store never takes does not fail a caller's event. Example with a
//! bad event X among 100: the batch of 100 fails three times, each batch of 50, 25, 12, … with X does, and all others
//! succeed. From then on X is tried alone, at most once in [`MAX_PAUSE`].

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;
use super::limits::{MAX_BATCH_BYTES, MAX_OWED_BYTES, MAX_OWED_EVENTS, MAX_UNHEARD_BYTES, MAX_UNHEARD_EVENTS};
use super::waiter::Waiter;
use crate::event::{AuditEvent, EventId};

/// The events that the log owes, and those whose callers it has refused and that may yet be its own.
///
/// ```text
/// t0        the deadline of an end passes: its caller is refused, and the event is held (unheard)
/// t0 + 1 ms its client hangs up, before the caller is polled
/// t0 + 2 ms the caller reads the refusal, on the log's runtime: the log owes the event
/// ```
///
/// A caller whose client still waits lets go of its event instead: the client is told that it is not written.
#[derive(Debug)]
pub(super) struct OwedEvents {
    debts: BTreeMap<EventId, Debt>,
    owed: Load,
    unheard: Load,
    /// The number of owed events that wait for their next append.
    waiting: usize,
    /// The last event of the last batch: the next begins behind it, so that each has its turn.
    last_taken: Option<EventId>,
    /// One batch of them is at the store at most.
    is_at_store: bool,
    /// The time of the next append, and the pause after the next failure.
    next: Instant,
    pause: Duration,
    /// The size of the next batch: halved after [`TRIES`] failures, doubled after a success.
    width: usize,
    failures: u32,
}

#[derive(Debug, Default)]
struct Load {
    events: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Debt {
    bytes: usize,
    /// The time from which the health check reports the event.
    overdue_at: Instant,
    caller: DebtCaller,
    /// Absent while the event is in the queue or at the store.
    event: Option<Box<(AuditEvent, Waiter)>>,
}

/// The caller of an owed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DebtCaller {
    /// Has left, or there never was one.
    Left,
    /// Was refused, and has not read the answer.
    Unheard,
    /// Was refused, and has not read the answer; the event is durable by now.
    UnheardOfDurable,
    /// Was told that the event is not written.
    Told,
}

/// The state of a held event after its caller has read the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldEvent {
    /// The log writes it.
    Owed,
    /// It is not written.
    Dropped,
    /// The log has written it meanwhile.
    Durable,
    /// The log has named it as lost meanwhile.
    Lost,
}

/// The failures after which the next batch has half the size.
const TRIES: u32 = 3;
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The time that a batch of these waits while events of callers wait, too.
const MAX_DELAY: Duration = Duration::from_millis(100);

impl Load {
    fn has_room(&self, bytes: usize, max_events: usize, max_bytes: usize) -> bool {
        self.events < max_events && self.bytes + bytes <= max_bytes
    }
}

impl OwedEvents {
    pub(super) fn new() -> Self {
        Self {
            debts: BTreeMap::new(),
            owed: Load::default(),
            unheard: Load::default(),
            waiting: 0,
            last_taken: None,
            is_at_store: false,
            next: Instant::now(),
            pause: MIN_PAUSE,
            width: usize::MAX,
            failures: 0,
        }
    }

    /// Registers an event that is queued or at the store. Returns false if there are too many.
    pub(super) fn register(&mut self, id: EventId, bytes: usize, overdue_at: Instant, caller: DebtCaller) -> bool {
        let has_room = match caller {
            DebtCaller::Unheard | DebtCaller::UnheardOfDurable => {
                self.unheard.has_room(bytes, MAX_UNHEARD_EVENTS, MAX_UNHEARD_BYTES)
            }
            DebtCaller::Left | DebtCaller::Told => self.owed.has_room(bytes, MAX_OWED_EVENTS, MAX_OWED_BYTES),
        };
        if !self.debts.contains_key(&id) && has_room {
            self.insert(id, Debt { bytes, overdue_at, caller, event: None });
        }
        self.debts.contains_key(&id)
    }

    /// Puts a registered event behind the others that wait for their next append. Returns it if it is not registered.
    pub(super) fn put_behind(&mut self, event: AuditEvent, waiter: Waiter) -> Option<(AuditEvent, Waiter)> {
        let id = event.event_id;
        let Some(mut debt) = self.remove(id) else { return Some((event, waiter)) };
        debt.event = Some(Box::new((event, waiter)));
        self.insert(id, debt);
        None
    }

    /// Notes that the caller of a held event has read the refusal, by which time its client had left or not.
    pub(super) fn hear(&mut self, id: EventId, has_left: bool, overdue_at: Instant) -> HeldEvent {
        let Some(mut debt) = self.remove(id) else { return HeldEvent::Lost };
        if debt.caller == DebtCaller::UnheardOfDurable {
            return HeldEvent::Durable;
        }
        if !has_left || !self.owed.has_room(debt.bytes, MAX_OWED_EVENTS, MAX_OWED_BYTES) {
            return HeldEvent::Dropped;
        }
        (debt.caller, debt.overdue_at) = (DebtCaller::Left, overdue_at);
        self.insert(id, debt);
        HeldEvent::Owed
    }

    /// Removes an event that is durable; one whose caller has not read the refusal stays, for [`hear`](Self::hear). Returns
    /// true if it was registered and no caller was told of it.
    pub(super) fn accept(&mut self, id: EventId) -> bool {
        if let Some(debt) = self.debts.get_mut(&id)
            && debt.caller == DebtCaller::Unheard
        {
            debt.caller = DebtCaller::UnheardOfDurable;
            return true;
        }
        self.release(id)
    }

    /// Removes an event. Returns true if it was registered and no caller was told of it.
    pub(super) fn release(&mut self, id: EventId) -> bool {
        self.remove(id).is_some_and(|debt| debt.caller != DebtCaller::Told)
    }

    fn insert(&mut self, id: EventId, debt: Debt) {
        let load = self.load(&debt);
        load.events += 1;
        load.bytes += debt.bytes;
        self.waiting += usize::from(debt.is_waiting());
        self.debts.insert(id, debt);
    }

    fn remove(&mut self, id: EventId) -> Option<Debt> {
        let debt = self.debts.remove(&id)?;
        let load = self.load(&debt);
        load.events -= 1;
        load.bytes -= debt.bytes;
        self.waiting -= usize::from(debt.is_waiting());
        Some(debt)
    }

    fn load(&mut self, debt: &Debt) -> &mut Load {
        if debt.caller.is_unheard() { &mut self.unheard } else { &mut self.owed }
    }

    /// Returns the number of events that the log owes.
    pub(super) fn len(&self) -> usize {
        self.owed.events
    }

    /// Returns the number of events that wait for their next append.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the lowest number of the events that wait for their next append; the largest number if there is none.
    pub(super) fn lowest(&self) -> u64 {
        let waiting = self.debts.values().filter(|debt| debt.is_waiting()).filter_map(|debt| debt.event.as_deref());
        waiting.map(|(_, waiter)| waiter.number).min().unwrap_or(u64::MAX)
    }

    /// Returns the number of events that have been owed for longer than the write timeout.
    pub(super) fn overdue(&self, now: Instant) -> usize {
        let owed = self.debts.values().filter(|debt| !debt.caller.is_unheard());
        owed.filter(|debt| debt.overdue_at <= now).count()
    }

    /// Removes all events but those that are durable, whose callers have yet to learn of it. Returns their ids, and true for
    /// those whose callers were told.
    pub(super) fn take_ids(&mut self) -> Vec<(EventId, bool)> {
        let is_owed = |(_, debt): &(&EventId, &Debt)| debt.caller != DebtCaller::UnheardOfDurable;
        let ids: Vec<_> = self.debts.iter().filter(is_owed).map(|(id, _)| *id).collect();
        let debts = ids.into_iter().filter_map(|id| Some((id, self.remove(id)?.caller == DebtCaller::Told)));
        debts.collect()
    }

    /// Returns true if no event waits and none is at the store.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && !self.is_at_store
    }

    /// Returns the time of the next append; none if no event waits for it.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.waiting > 0 && !self.is_at_store).then_some(self.next)
    }

    /// Returns true if it is time for an append. `has_others`: events of callers wait, too.
    pub(super) fn is_due(&self, now: Instant, has_others: bool) -> bool {
        let delay = if has_others { MAX_DELAY } else { Duration::ZERO };
        self.next().is_some_and(|next| next + delay <= now)
    }

    /// Tries at once: the log is closing.
    pub(super) fn hurry(&mut self) {
        (self.next, self.pause) = (Instant::now(), MIN_PAUSE);
    }

    /// Takes the next batch, which is at the store until [`end_append`](Self::end_append).
    pub(super) fn take(&mut self, max_events: usize) -> Batch {
        let mut batch = Batch::default();
        let (max_events, mut bytes) = (max_events.min(self.width), 0);
        let begin = self.last_taken.map_or(Unbounded, Excluded);
        let end = self.last_taken.map_or(Unbounded, std::ops::Bound::Included);
        let behind = self.debts.range((begin, Unbounded));
        // Without a last one, there are none before it.
        let before = self.last_taken.map(|_| self.debts.range((Unbounded, end))).into_iter().flatten();
        let mut ids = Vec::new();
        for (id, debt) in behind.chain(before).filter(|(_, debt)| debt.is_waiting()) {
            bytes += debt.bytes;
            // No event is larger than a batch.
            if ids.len() >= max_events || (bytes > MAX_BATCH_BYTES && !ids.is_empty()) {
                break;
            }
            ids.push(*id);
        }
        for id in ids {
            let Some(mut debt) = self.remove(id) else { continue };
            let event = debt.event.take();
            self.insert(id, debt);
            self.last_taken = Some(id);
            if let Some((event, waiter)) = event.map(|event| *event) {
                batch.push(event, waiter);
            }
        }
        self.is_at_store = true;
        batch
    }

    /// Takes all events that are neither in the queue nor at the store.
    pub(super) fn take_all(&mut self) -> Batch {
        let mut batch = Batch::default();
        self.waiting = 0;
        for (event, waiter) in self.debts.values_mut().filter_map(|debt| debt.event.take()).map(|event| *event) {
            batch.push(event, waiter);
        }
        batch
    }

    /// Ends an append of `events` that took so long, and sets the time of the next.
    pub(super) fn end_append(&mut self, events: usize, has_failed: bool, took: Duration) {
        let now = Instant::now();
        self.is_at_store = false;
        if has_failed {
            self.failures += 1;
            if self.failures.is_multiple_of(TRIES) {
                self.width = (events.min(self.width) / 2).max(1);
            }
            // An append that fails slowly must not take the store's time from callers.
            self.next = now + self.pause.max(took * 4);
            self.pause = (self.pause * 2).min(MAX_PAUSE);
        } else {
            self.failures = 0;
            self.width = self.width.saturating_mul(2);
            (self.next, self.pause) = (now, MIN_PAUSE);
        }
    }
}

impl DebtCaller {
    fn is_unheard(self) -> bool {
        matches!(self, Self::Unheard | Self::UnheardOfDurable)
    }
}

impl Debt {
    /// Returns true if the event waits for its next append. A held event does not: its caller may let go of it.
    fn is_waiting(&self) -> bool {
        self.event.is_some() && !self.caller.is_unheard()
    }
}
