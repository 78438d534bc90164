//! The state of a request, shared by all layers that see the same one.
//!
//! A layer that sees a request makes an [`Attempt`] of its own: one run of everything inside of it. Nested layers make a
//! chain of attempts; a layer in between that retries makes several side by side. Of each log, the attempt nearest to
//! the handler records the end of its run. The attempts around it make sure that no response leaves unrecorded:
//!
//! ```text
//! 0  outer layer                     `started`; the response carries the mark of attempt 2: nothing to record
//! 1    └ retry ─▶ inner layer        takes over the outer layer's `started`; 503, and an event
//! 2    └ retry ─▶ inner layer        its own `started`; 200, and an event; marks the response
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::attempt::{Attempt, AttemptStage, Detached, EndKind, WithheldResponse};
use super::context_values::{ContextValues, overlay};
use super::request_head::{RequestHead, new_request_id};
use super::wait_clock::WaitClock;
use crate::event::{Actor, AuditEvent, CompactText, Details, EventType, Targets};
use crate::policy::AuditPolicy;
use crate::writer::LogId;

/// One request, shared by all layers that see it.
pub(crate) struct RequestState {
    /// Unique in the process.
    id: u64,
    attempts: Mutex<Attempts>,
    /// One of them is cancelled: most handlers are polled without a look at them.
    has_cancelled: AtomicBool,
    /// Wakes the layers that wait for an attempt to be settled.
    settled: Notify,
}

/// The maximum number of attempts at one request. A call beyond it is taken for another request: it is still recorded, but
/// the layers around it do not know of it, and record their own end too.
const MAX_ATTEMPTS: usize = 1024;

/// The attempts at one request, in the order of the calls: the outer layers first.
#[derive(Default)]
pub(crate) struct Attempts {
    list: SmallVec<[Attempt; 1]>,
    request_id: Option<CompactText>,
    /// One for each log that has made the request wait.
    clocks: SmallVec<[WaitClock; 1]>,
}

/// A wait of a request for an event. Dropped, the wait has ended.
pub(crate) struct Wait {
    state: Arc<RequestState>,
    /// Absent in a wait that no client takes part in.
    log: Option<LogId>,
    deadline: Instant,
}

/// The relation of an attempt whose own run has ended to the attempts within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptRelation {
    /// None of them has recorded this end.
    Alone,
    /// One of them has.
    Told,
    /// The rules of one of them leave this end out.
    LeftOut,
    /// One of them could not, and a layer in between has made another response of its refusal.
    Refused(WithheldResponse),
    /// One of them is about to.
    Telling,
    /// This end is not that of any of them. The rules of this one apply, which was still open when this end came.
    Beside(usize),
}

impl RequestState {
    pub(super) fn new(first: Attempt) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let attempts = Attempts { list: SmallVec::from_iter([first]), ..Attempts::default() };
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            attempts: Mutex::new(attempts),
            has_cancelled: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Attempts> {
        // Nothing under this lock panics half way through a change.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cancel(&self, attempt: usize) {
        self.lock()[attempt].is_cancelled = true;
        self.has_cancelled.store(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_cancelled(&self, attempt: usize) -> bool {
        self.has_cancelled.load(Ordering::Acquire) && self.lock()[attempt].is_cancelled
    }

    /// Settles an attempt, unless it is settled already. Returns true if the request has others.
    pub(super) fn settle(&self, attempt: usize, stage: AttemptStage) -> bool {
        let mut attempts = self.lock();
        let are_many = attempts.has_others();
        if attempts[attempt].stage.is_settled() {
            return are_many;
        }
        attempts[attempt].stage = stage;
        // Its parts keep the server's read buffer alive.
        let head = attempts[attempt].head.take();
        if stage == AttemptStage::Silent
            && let Some(started) = attempts[attempt].started.take()
            && let Some(outer) = attempts[attempt].outer
        {
            attempts[outer].started.get_or_insert(started);
        }
        drop(attempts);
        drop(head);
        if are_many {
            self.settled.notify_waiters();
        }
        are_many
    }

    /// Begins a wait of this attempt for an event of its log.
    pub(super) fn begin_wait(self: Arc<Self>, attempt: usize) -> Wait {
        let now = Instant::now();
        let mut attempts = self.lock();
        let left = attempts.time_left(attempt, now);
        // The client waits for none of the events of a detached attempt.
        let log = if attempts.is_detached(attempt) { None } else { attempts.log_of(attempt) };
        if let Some(log) = log {
            attempts.clock(log).begin(now);
        }
        drop(attempts);
        Wait { state: self, log, deadline: now + left }
    }

    /// Waits until none of the attempts within this one is about to record its end.
    pub(super) async fn inner_attempts_settled(&self, attempt: usize) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if !self.lock().within(attempt).any(|(_, within)| within.is_awaited()) {
                return;
            }
            settled.await;
        }
    }
}

impl Wait {
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(log) = self.log {
            self.state.lock().clock(log).end(Instant::now());
        }
    }
}

impl std::ops::Index<usize> for Attempts {
    type Output = Attempt;

    fn index(&self, attempt: usize) -> &Attempt {
        &self.list[attempt]
    }
}

impl std::ops::IndexMut<usize> for Attempts {
    fn index_mut(&mut self, attempt: usize) -> &mut Attempt {
        &mut self.list[attempt]
    }
}

impl Attempts {
    /// Returns true if the request has as many attempts as one state holds.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_ATTEMPTS
    }

    /// Adds an attempt within another one.
    pub(super) fn add(&mut self, mut attempt: Attempt, within: usize) -> usize {
        attempt.within = Some(within);
        attempt.outer = attempt.layer.as_ref().and_then(|layer| self.nearest(within, layer.log_id));
        self.list.push(attempt);
        self.list.len() - 1
    }

    fn log_of(&self, attempt: usize) -> Option<LogId> {
        self[attempt].layer.as_ref().map(|layer| layer.log_id)
    }

    fn clock(&mut self, log: LogId) -> &mut WaitClock {
        let index = self.clocks.iter().position(|clock| clock.log == log).unwrap_or_else(|| {
            self.clocks.push(WaitClock::new(log));
            self.clocks.len() - 1
        });
        &mut self.clocks[index]
    }

    /// The time for which the attempt may still wait for events: the rest of the request's one write timeout, or, if no
    /// client waits, a whole one.
    pub(crate) fn time_left(&self, attempt: usize, now: Instant) -> Duration {
        let Some(layer) = &self[attempt].layer else { return Duration::ZERO };
        let timeout = layer.log.write_timeout();
        let clock = self.clocks.iter().find(|clock| clock.log == layer.log_id);
        match clock {
            Some(clock) if !self.is_detached(attempt) => timeout.saturating_sub(clock.waited(now)),
            _ => timeout,
        }
    }

    /// Returns true if too little time is left for the event at the end of a handler: less than a tenth of the write
    /// timeout. A handler that has not been called yet is then not called.
    pub(crate) fn is_out_of_time(&self, attempt: usize) -> bool {
        let Some(layer) = &self[attempt].layer else { return false };
        !self.clocks.is_empty() && self.time_left(attempt, Instant::now()) < layer.log.write_timeout() / 10
    }

    /// Returns true if no caller waits for this attempt: its future was dropped, or that of one around it, or an answer has
    /// left without it. The task that polls it may be another one, which does not notice.
    pub(super) fn is_detached(&self, attempt: usize) -> bool {
        self.around(attempt).any(|attempt| self[attempt].detached.is_some() || self[attempt].is_passed_over)
    }

    /// Marks the attempt as one that no caller waits for. A handler that has not been called yet is then not called.
    pub(crate) fn detach(&mut self, attempt: usize) {
        let is_open = self[attempt].stage.is_open();
        self[attempt].detached.get_or_insert(if is_open { Detached::BeforeEnd } else { Detached::AtEnd });
        if self[attempt].stage == AttemptStage::Waiting {
            self[attempt].stage = AttemptStage::Withdrawn;
        }
    }

    /// The nearest attempt of this log: this one, or one around it.
    pub(super) fn nearest(&self, attempt: usize, log: LogId) -> Option<usize> {
        self.around(attempt).find(|&attempt| self[attempt].is_of(log))
    }

    /// The attempt whose rules name the request: this one, or the nearest of the same log around it.
    pub(crate) fn named(&self, attempt: usize) -> usize {
        let mut of_log = std::iter::successors(Some(attempt), |&attempt| self[attempt].outer);
        of_log.find(|&attempt| !self[attempt].matching_rules.is_empty()).unwrap_or(attempt)
    }

    /// This attempt and those around it, outwards.
    fn around(&self, attempt: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(attempt), |&attempt| self[attempt].within)
    }

    /// The attempts of the same log within this one that no other attempt with a say is around.
    fn within(&self, attempt: usize) -> impl Iterator<Item = (usize, &Attempt)> {
        let candidates = self.list.iter().enumerate().skip(attempt + 1);
        candidates.filter(move |(_, within)| {
            let mut outer = within.outer;
            while let Some(next) = outer
                && next > attempt
                && self[next].stage == AttemptStage::Silent
            {
                outer = self[next].outer;
            }
            outer == Some(attempt)
        })
    }

    /// Returns true if the handler wrote an event in a transaction for an attempt of the same log around this one.
    pub(crate) fn is_written_around(&self, attempt: usize) -> bool {
        let of_log = std::iter::successors(self[attempt].outer, |&attempt| self[attempt].outer);
        of_log.into_iter().any(|outer| self[outer].written.is_some())
    }

    /// Returns true if an attempt of the same log is within this one and has a say.
    pub(crate) fn has_within(&self, attempt: usize) -> bool {
        self.within(attempt).any(|(_, within)| within.stage != AttemptStage::Silent)
    }

    /// Returns true if the handler may have been called in another attempt, beside this one or within it.
    pub(crate) fn has_run_elsewhere(&self, attempt: usize) -> bool {
        let around: SmallVec<[usize; 4]> = self.around(attempt).collect();
        let mut others = self.list.iter().enumerate().filter(|(number, _)| !around.contains(number));
        others.any(|(_, other)| other.stage.has_run())
    }

    /// Returns true if the request has several attempts.
    pub(crate) fn has_others(&self) -> bool {
        self.list.len() > 1
    }

    /// The relation of this attempt, whose run has come to this end, to those within it. From here on, none of them calls
    /// its handler any more. `mark`: the attempt whose mark the response carries.
    pub(crate) fn relation(
        &mut self,
        attempt: usize,
        mark: Option<usize>,
        end: (EndKind, Option<StatusCode>),
        waits: bool,
    ) -> AttemptRelation {
        if self.list.len() == attempt + 1 {
            return AttemptRelation::Alone;
        }
        let kind = end.0;
        if kind != EndKind::Dropped {
            self.pass_over_within(attempt);
        }
        if let Some(mark) = mark
            && std::iter::successors(Some(mark), |&mark| self[mark].outer).skip(1).any(|outer| outer == attempt)
        {
            return match self[mark].stage {
                AttemptStage::LeftOut(left_kind, left_status) if (left_kind, left_status) == end => {
                    AttemptRelation::LeftOut
                }
                // A layer in between has given the response another status.
                AttemptStage::LeftOut(..) => AttemptRelation::Alone,
                _ => AttemptRelation::Told,
            };
        }
        let (mut open, mut latest, mut settled) = (None, None, 0);
        for (number, within) in self.within(attempt) {
            match within.stage {
                AttemptStage::Silent => {}
                AttemptStage::Writing if waits && within.is_awaited() => return AttemptRelation::Telling,
                stage if !stage.is_settled() => open = Some(number),
                stage => {
                    settled += 1;
                    // Without a response of its own, it is no attempt that this end is made of.
                    let is_given_up = within.is_given_up() || stage == AttemptStage::Told(EndKind::Dropped);
                    latest = Some((number, stage, is_given_up));
                }
            }
        }
        // An end that this one is not made of: still to come, or come to after this one.
        let given_up = latest.and_then(|(number, _, is_given_up)| is_given_up.then_some(number));
        if let Some(other) = open.or(given_up) {
            self.withdraw_within(attempt);
            // Without an answer, there is nothing to record beside it.
            return if kind == EndKind::Dropped { AttemptRelation::Told } else { AttemptRelation::Beside(other) };
        }
        // A handler has named this very run, and the response is none of those within: an end of its own.
        let is_named_here = kind == EndKind::Response && self[attempt].values.event_type.is_some();
        match latest.map(|(_, stage, _)| stage) {
            // The response may be made of that of any of them, or of none.
            Some(AttemptStage::Told(told)) if settled > 1 && (kind == EndKind::Response || told != kind) => {
                AttemptRelation::Alone
            }
            Some(AttemptStage::Told(_)) if is_named_here => AttemptRelation::Alone,
            Some(AttemptStage::Told(_)) => AttemptRelation::Told,
            Some(AttemptStage::LeftOut(left_kind, left_status))
                if (left_kind, left_status) == end && settled == 1 && !is_named_here =>
            {
                AttemptRelation::LeftOut
            }
            Some(AttemptStage::Refused(refusal)) if kind == EndKind::Response => AttemptRelation::Refused(refusal),
            Some(AttemptStage::Refused(_)) => AttemptRelation::Told,
            _ => AttemptRelation::Alone,
        }
    }

    /// Marks the attempts within this one, the next of each log, whose handlers have not ended: an answer leaves without them. A
    /// task of its own goes on when a timeout has answered, and may have settled before a layer further out sees that answer.
    fn pass_over_within(&mut self, attempt: usize) {
        for number in attempt + 1..self.list.len() {
            if self[number].stage.is_open()
                && self.outer_with_a_say(number).is_none_or(|outer| outer <= attempt)
                && self.around(number).any(|around| around == attempt)
            {
                self[number].is_passed_over = true;
            }
        }
    }

    /// The next attempt outwards of the same log that has a say.
    fn outer_with_a_say(&self, attempt: usize) -> Option<usize> {
        std::iter::successors(self[attempt].outer, |&outer| self[outer].outer)
            .find(|&outer| self[outer].stage != AttemptStage::Silent)
    }

    fn withdraw_within(&mut self, attempt: usize) {
        let waiting: SmallVec<[usize; 4]> =
            self.within(attempt).filter(|(_, w)| w.stage == AttemptStage::Waiting).map(|(number, _)| number).collect();
        for number in waiting {
            self[number].stage = AttemptStage::Withdrawn;
        }
    }

    /// Marks the handler as about to be called. Returns false if it must not be.
    pub(crate) fn begin(&mut self, attempt: usize) -> bool {
        if self[attempt].stage != AttemptStage::Waiting {
            return false;
        }
        self[attempt].stage = AttemptStage::Running;
        self.adopt_started(attempt);
        true
    }

    /// Takes over the `started` event of an attempt around this one. Returns true if this one has one then.
    pub(crate) fn adopt_started(&mut self, attempt: usize) -> bool {
        let mut outer = self[attempt].outer;
        while let Some(next) = outer
            && self[attempt].started.is_none()
        {
            self[attempt].started = self[next].started.take();
            outer = self[next].outer;
        }
        self[attempt].started.is_some()
    }

    /// Marks the event of this attempt as being written.
    pub(crate) fn claim(&mut self, attempt: usize) {
        self.adopt_started(attempt);
        self.tell(attempt);
    }

    /// Marks the end of this attempt as about to be recorded, by this attempt or by one within it.
    pub(crate) fn tell(&mut self, attempt: usize) {
        self[attempt].stage = AttemptStage::Writing;
    }

    pub(crate) fn is_open(&self, attempt: usize) -> bool {
        self[attempt].stage.is_open()
    }

    /// The attempts around this one, this one, and the latest one within each: the outermost first.
    fn chain(&self, attempt: usize) -> SmallVec<[usize; 4]> {
        let mut chain: SmallVec<[usize; 4]> = self.around(attempt).collect();
        chain.reverse();
        let mut innermost = attempt;
        while let Some(latest) =
            (innermost + 1..self.list.len()).rev().find(|&later| self[later].within == Some(innermost))
        {
            chain.push(latest);
            innermost = latest;
        }
        chain
    }

    /// The facts that were added in the attempts of the chain, the outermost first, so that the last one counts.
    fn contexts(&self, attempt: usize) -> impl Iterator<Item = &ContextValues> {
        self.chain(attempt).into_iter().map(|number| &self[number].values)
    }

    /// The last value that was added.
    fn last<T>(&self, attempt: usize, of: impl Fn(&ContextValues) -> Option<T>) -> Option<T> {
        if !self.has_others() {
            return of(&self[attempt].values);
        }
        self.contexts(attempt).filter_map(of).last()
    }

    /// The event type that a handler has declared.
    pub(crate) fn declared(&self, attempt: usize) -> Option<EventType> {
        let own = &self[attempt].values.event_type;
        // A type that was declared within belongs to the ends that were recorded there.
        if own.is_some() && self.within(attempt).any(|(_, within)| matches!(within.stage, AttemptStage::Told(_))) {
            return own.clone();
        }
        self.last(attempt, |values| values.event_type.clone())
    }

    pub(crate) fn result_count(&self, attempt: usize) -> Option<u64> {
        self.last(attempt, |values| values.result_count)
    }

    pub(crate) fn expected_status(&self, attempt: usize) -> Option<StatusCode> {
        self.last(attempt, |values| values.expected_status)
    }

    pub(crate) fn request_id(&mut self) -> &CompactText {
        let Self { list, request_id, .. } = self;
        request_id.get_or_insert_with(|| {
            let head = list.iter().find_map(|attempt| attempt.head.as_ref());
            head.and_then(RequestHead::clean_request_id).unwrap_or_else(new_request_id)
        })
    }

    /// An event with everything that is known of the request so far, except the details. `of`: the attempt whose layer's
    /// rules record it.
    pub(crate) fn draft(
        &mut self,
        attempt: usize,
        of: usize,
        event_type: EventType,
        rule: Option<usize>,
    ) -> Box<AuditEvent> {
        let mut event = Box::new(AuditEvent::new(event_type));
        if let Some(written) = &self[attempt].written {
            // A request has one event, whichever of the two it is.
            (event.event_id, event.created_at) = (written.event_id, written.created_at);
        }
        event.request.request_id = Some(self.request_id().clone());
        let head = self[attempt].head.as_ref();
        let head = head.or_else(|| self.list.iter().find_map(|other| other.head.as_ref()));
        if let (Some(head), Some(layer)) = (head, &self[of].layer) {
            let route = self.last(attempt, |values| values.route.clone());
            let settings = self.settings(of).unwrap_or(&layer.policy);
            head.apply_to(&mut event, &layer.policy, settings, rule, route.as_ref());
        }
        if head.is_none_or(|head| head.actor().is_none())
            && let Some(actor) = self.extension_actor(attempt)
        {
            overlay(&mut event.actor, actor);
        }
        event.request.started_event_id = self[attempt].started.as_ref().map(|started| started.event_id);
        self.write_names(attempt, &mut event);
        event
    }

    /// The policy whose capture settings apply to the events of this attempt's layer: its own, or, for a layer of a single
    /// route, the one around it.
    fn settings(&self, attempt: usize) -> Option<&AuditPolicy> {
        let of_log = std::iter::successors(Some(attempt), |&attempt| self[attempt].outer);
        let mut layers = of_log.filter_map(|attempt| self[attempt].layer.as_deref());
        layers.find(|layer| !layer.inherits_settings).map(|layer| &layer.policy)
    }

    /// Hides the secrets in the details of an event that the rules of this attempt's layer record.
    pub(crate) fn redact_details(&self, of: usize, details: &mut Details) {
        let own = || self[of].layer.as_ref().map(|layer| &layer.policy);
        if let Some(policy) = self.settings(of).or_else(own) {
            policy.capture_config().redact_details(details);
        }
    }

    /// The actor that a layer put into the extensions of the request or of its response.
    fn extension_actor(&self, attempt: usize) -> Option<Actor> {
        let of_values = |attempt: &Attempt| attempt.values.extension_actor.clone();
        let of_head = |attempt: &Attempt| attempt.head.as_ref()?.actor().cloned();
        let chain = self.chain(attempt);
        let latest = |of: &dyn Fn(&Attempt) -> Option<Actor>| chain.iter().rev().find_map(|&number| of(&self[number]));
        latest(&of_values).or_else(|| latest(&of_head))
    }

    /// Writes the actor, the route, the targets, the classification and the error that were added so far into the event. The
    /// targets replace the one that was taken from the path.
    pub(crate) fn write_names(&self, attempt: usize, event: &mut AuditEvent) {
        if self.has_others() {
            self.contexts(attempt).for_each(|values| values.name(event));
            let mut named = Targets::new();
            self.contexts(attempt).for_each(|values| named.append(values.targets.clone()));
            if !named.is_empty() {
                event.targets = named;
            }
        } else {
            let values = &self[attempt].values;
            values.name(event);
            if !values.targets.is_empty() {
                event.targets.clone_from(&values.targets);
            }
        }
    }

    /// The details that were added so far. Moved out, if no other attempt needs them.
    pub(crate) fn take_details(&mut self, attempt: usize) -> Details {
        if self.has_others() { self.details(attempt) } else { std::mem::take(&mut self[attempt].values.details) }
    }

    /// The details that were added so far.
    pub(crate) fn details(&self, attempt: usize) -> Details {
        self.contexts(attempt).flat_map(|values| values.details.clone()).collect()
    }
}
