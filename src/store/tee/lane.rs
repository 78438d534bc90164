//! The queue of one member.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::delivery::{Delivery, Failure};
use super::losses::Losses;
use super::metrics::MemberMetrics;
use crate::event::{AuditEvent, EventId, EventTypeFilter};
use crate::store::AuditStore;

/// A member with its queue. Its worker runs while there are events, and only then.
pub(super) struct Lane {
    settings: LaneSettings,
    pub(super) losses: Losses,
    pub(super) metrics: MemberMetrics,
    /// Maintenance runs.
    pub(super) is_maintaining: AtomicBool,
    state: Mutex<LaneState>,
    /// The number of deliveries that are settled, for those who wait.
    settled: watch::Sender<u64>,
    /// Wakes a worker that pauses.
    pub(super) wake: Notify,
}

/// The settings of a member, complete.
pub(super) struct LaneSettings {
    pub(super) name: Arc<str>,
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) role: Role,
    /// Its acknowledgements count for the quorum.
    pub(super) is_counted: bool,
    pub(super) timeout: Duration,
    /// None takes everything.
    pub(super) filter: Option<EventTypeFilter>,
    pub(super) max_events: usize,
    pub(super) max_bytes: usize,
    /// Tells of a member that is opened later that it is open. None: it is.
    pub(super) is_open: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl LaneSettings {
    /// Returns false while the member has not been reached since the start: its parts are not known.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.as_ref().is_none_or(|is_open| is_open())
    }
}

impl Deref for Lane {
    type Target = LaneSettings;

    fn deref(&self) -> &LaneSettings {
        &self.settings
    }
}

/// The part of a member in the acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An event needs its acknowledgement.
    Required,
    /// As the quorum has it.
    Counted,
    /// No event needs its acknowledgement.
    BestEffort,
}

#[derive(Debug, Default)]
struct LaneState {
    queue: VecDeque<Queued>,
    /// The events that are not settled: queued, or being appended.
    events: usize,
    bytes: usize,
    given: u64,
    settled: u64,
    is_running: bool,
    /// The begin of the append under way.
    attempt: Option<Instant>,
    /// The failure of the last append, until one succeeds.
    failure: Option<Failure>,
    /// Only single events are left that fail again and again: whether the member fails or the events, a further event will tell.
    is_stuck: bool,
    /// Nothing is tried again.
    is_abandoned: bool,
}

/// Events in the queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) events: Arc<[AuditEvent]>,
    pub(super) bytes: usize,
    pub(super) delivery: Arc<Delivery>,
}

/// The answer to a delivery that was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enqueued {
    /// The caller starts the worker.
    StartsWorker,
    /// The worker runs.
    Queued,
    /// There is no room: nothing was queued.
    Full,
}

/// The state of a lane, as an operator sees it.
#[derive(Debug, Clone)]
pub(super) struct LaneView {
    pub(super) events: usize,
    pub(super) failure: Option<Failure>,
}

/// The largest append of a member that is behind.
const MAX_CHUNK_EVENTS: usize = 1024;
const MAX_CHUNK_BYTES: usize = 8 * 1024 * 1024;

impl LaneState {
    /// Notes that nothing is left to do. A failure of the last events says nothing of the next ones, and would keep them away.
    fn rest(&mut self) {
        (self.is_running, self.failure, self.is_stuck) = (false, None, false);
    }
}

impl Lane {
    pub(super) fn new(settings: LaneSettings) -> Self {
        Self {
            metrics: MemberMetrics::register(&settings.name),
            settings,
            losses: Losses::default(),
            is_maintaining: AtomicBool::new(false),
            state: Mutex::default(),
            settled: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        // Nothing under this lock panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the obstacle for an event that must be acknowledged by this member soon.
    pub(super) fn obstacle(&self, events: usize, bytes: usize) -> Option<Failure> {
        let state = self.lock();
        if let Some(age) = state.attempt.map(|since| since.elapsed()).filter(|age| *age >= self.timeout) {
            return Some(Failure::transient(format!("it has not answered for {} s", age.as_secs_f32().round())));
        }
        if let Some(failure) = state.failure.as_ref().filter(|_| !state.is_stuck) {
            return Some(failure.clone());
        }
        (!self.has_room(&state, events, bytes)).then(|| self.full())
    }

    /// Returns the failure of a queue without room.
    pub(super) fn full(&self) -> Failure {
        Failure::transient(format!("its backlog is full: {} events", self.max_events))
    }

    fn has_room(&self, state: &LaneState, events: usize, bytes: usize) -> bool {
        state.events == 0 || state.events + events <= self.max_events && state.bytes + bytes <= self.max_bytes
    }

    /// Queues events, if there is room. An empty queue has room for any batch.
    pub(super) fn enqueue(&self, queued: Queued) -> Enqueued {
        let mut state = self.lock();
        if !self.has_room(&state, queued.events.len(), queued.bytes) {
            return Enqueued::Full;
        }
        state.events += queued.events.len();
        state.bytes += queued.bytes;
        state.given += 1;
        state.queue.push_back(queued);
        self.metrics.set_behind(state.events);
        if std::mem::replace(&mut state.is_running, true) { Enqueued::Queued } else { Enqueued::StartsWorker }
    }

    /// Takes the next deliveries: as many as fit into one append. None ends the worker.
    pub(super) fn take(&self) -> Option<Vec<Queued>> {
        let mut state = self.lock();
        let taken = take_from(&mut state.queue);
        if taken.is_empty() {
            state.rest();
            return None;
        }
        Some(taken)
    }

    /// Takes the next deliveries for a worker that goes on in any case.
    pub(super) fn take_more(&self) -> Vec<Queued> {
        take_from(&mut self.lock().queue)
    }

    /// Notes the begin of an append.
    pub(super) fn begin_attempt(&self) {
        self.lock().attempt = Some(Instant::now());
    }

    /// Notes the end of an append.
    pub(super) fn end_attempt(&self, failure: Option<&Failure>) {
        let mut state = self.lock();
        state.attempt = None;
        // A failure for good is of the event, or is met again by the next one.
        state.failure = failure.filter(|failure| failure.is_transient()).cloned();
        if failure.is_none() {
            state.is_stuck = false;
        }
    }

    /// Tells those who wait for queued events of a failure: they would wait in vain for their turn.
    pub(super) fn note_failure_of_queued(&self, failure: &Failure) {
        let state = self.lock();
        state
            .queue
            .iter()
            .filter(|queued| queued.delivery.is_awaited())
            .for_each(|it| it.delivery.note_failure(failure));
    }

    /// Notes that only events are left that have failed often.
    pub(super) fn set_stuck(&self) {
        self.lock().is_stuck = true;
    }

    /// Notes that a delivery is settled.
    pub(super) fn settle(&self, delivery: &Delivery, events: usize, bytes: usize) {
        delivery.settle();
        let mut state = self.lock();
        state.events -= events;
        state.bytes -= bytes;
        state.settled += 1;
        let settled = state.settled;
        self.metrics.set_behind(state.events);
        drop(state);
        self.settled.send_replace(settled);
    }

    /// Notes the end of a worker that did not finish: its runtime has ended.
    pub(super) fn end_worker(&self) {
        let mut state = self.lock();
        state.rest();
        state.attempt = None;
    }

    /// Waits until everything that was given before is settled.
    pub(super) async fn drained(&self) {
        let given = self.lock().given;
        let mut settled = self.settled.subscribe();
        // The sender is this lane: it lives as long as the wait.
        let _ = settled.wait_for(|settled| *settled >= given).await;
    }

    /// Returns true if everything that was given is settled.
    pub(super) fn is_drained(&self) -> bool {
        let state = self.lock();
        state.settled >= state.given
    }

    /// Gives up everything that fails from here on.
    pub(super) fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.wake.notify_one();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().is_abandoned
    }

    pub(super) fn view(&self) -> LaneView {
        let state = self.lock();
        LaneView { events: state.events, failure: state.failure.clone() }
    }

    /// Counts events that were acknowledged and that the member does not get.
    pub(super) fn lose(&self, ids: &[EventId], reason: &str) {
        self.metrics.count_lost(ids.len());
        self.losses.add(&self.name, ids, reason);
    }
}

fn take_from(queue: &mut VecDeque<Queued>) -> Vec<Queued> {
    let (mut events, mut bytes) = (0, 0);
    let fits = |queued: &Queued, (events, bytes): (usize, usize)| {
        events == 0 || events + queued.events.len() <= MAX_CHUNK_EVENTS && bytes + queued.bytes <= MAX_CHUNK_BYTES
    };
    let mut taken = Vec::new();
    while queue.front().is_some_and(|next| fits(next, (events, bytes))) {
        let Some(next) = queue.pop_front() else { break };
        events += next.events.len();
        bytes += next.bytes;
        taken.push(next);
    }
    taken
}

/// Without the store, which may show more than its name.
impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .field("store", &self.store.capabilities().name)
            .field("role", &self.role)
            .field("behind", &self.lock().events)
            .field("lost", &self.losses.read().events)
            .finish_non_exhaustive()
    }
}
