//! The identity of a request: shared by all layers that see the same one.
//!
//! A layer that sees a request makes an [`Attempt`] of its own: one run of everything inside of it. Layers around each
//! other make a chain of them; a layer in between that tries again makes several beside each other. Of each log, the
//! attempt nearest to the handler tells the end of its run, and the attempts around it see to it that no response leaves
//! that nobody has told:
//!
//! ```text
//! 0  outer layer                     started, takes the request, ... the response carries the mark of 2: nothing to do
//! 1    └ retry ─▶ inner layer        takes over the outer's `started`; 503, and an event of its own
//! 2    └ retry ─▶ inner layer        a `started` of its own; 200, and an event of its own; marks the response
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::attempt::{Attempt, AttemptStage, EndKind, WithheldResponse};
use super::context_values::{ContextValues, overlay};
use super::request_head::{RequestHead, new_request_id};
use crate::event::{Actor, AuditEvent, CompactText, Details, EventType};
use crate::policy::AuditPolicy;
use crate::writer::LogId;

/// One request, shared by all layers that see it.
pub(crate) struct RequestState {
    /// Unique in the process.
    id: u64,
    attempts: Mutex<Attempts>,
    /// Wakes those who wait for an attempt to be settled.
    settled: Notify,
}

/// The attempts at one request, in the order in which their layers were called: the outer ones first.
#[derive(Default)]
pub(crate) struct Attempts {
    list: SmallVec<[Attempt; 1]>,
    request_id: Option<CompactText>,
}

/// The relation of an attempt to those within it, when its own run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptRelation {
    /// None of them has told this end.
    Alone,
    /// One of them has.
    Told,
    /// One of them could not, and a layer in between has made another response of its refusal.
    Refused(WithheldResponse),
    /// One of them is about to.
    Telling,
    /// One of them is still open, and tells its own end later. This end is another one.
    Beside(usize),
}

impl RequestState {
    pub(super) fn new(first: Attempt) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut list = SmallVec::new();
        list.push(first);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            attempts: Mutex::new(Attempts { list, request_id: None }),
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

    /// Settles an attempt, unless it is settled already. True: the request has others.
    pub(super) fn settle(&self, attempt: usize, stage: AttemptStage) -> bool {
        let mut attempts = self.lock();
        let are_many = attempts.has_others();
        if attempts[attempt].stage.is_settled() {
            return are_many;
        }
        attempts[attempt].stage = stage;
        // Its parts keep the memory that the server has read the request into.
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

    /// Waits until none of the attempts within this one is about to tell its end.
    pub(super) async fn inner_attempts_settled(&self, attempt: usize) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if !self.lock().within(attempt).any(|(_, within)| within.stage == AttemptStage::Writing) {
                return;
            }
            settled.await;
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
    /// Adds an attempt within another one.
    pub(super) fn add(&mut self, mut attempt: Attempt, within: usize) -> usize {
        attempt.within = Some(within);
        attempt.outer = attempt.layer.as_ref().and_then(|layer| self.nearest(within, layer.log_id));
        self.list.push(attempt);
        self.list.len() - 1
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

    /// The attempts of the same log within this one, but for those that another one stands before which has a say.
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

    /// Whether an attempt of the same log is within this one and has a say.
    pub(crate) fn has_within(&self, attempt: usize) -> bool {
        self.within(attempt).any(|(_, within)| within.stage != AttemptStage::Silent)
    }

    /// Whether the handler may have been called in another attempt, beside this one or within it.
    pub(crate) fn has_run_elsewhere(&self, attempt: usize) -> bool {
        let around: SmallVec<[usize; 4]> = self.around(attempt).collect();
        let mut others = self.list.iter().enumerate().filter(|(number, _)| !around.contains(number));
        others.any(|(_, other)| other.stage.has_run())
    }

    /// Whether there are attempts beside or around this one.
    pub(crate) fn has_others(&self) -> bool {
        self.list.len() > 1
    }

    /// The relation of this attempt, whose run has come to an end of this kind, to those within it. From here on, none of
    /// them calls its handler any more. `mark`: the attempt whose mark the response carries.
    pub(crate) fn relation(
        &mut self,
        attempt: usize,
        mark: Option<usize>,
        end: EndKind,
        waits: bool,
    ) -> AttemptRelation {
        if self.list.len() == attempt + 1 {
            return AttemptRelation::Alone;
        }
        if let Some(mark) = mark
            && std::iter::successors(Some(mark), |&mark| self[mark].outer).skip(1).any(|outer| outer == attempt)
        {
            return AttemptRelation::Told;
        }
        let (mut open, mut last, mut settled) = (None, None, 0);
        for (number, within) in self.within(attempt) {
            match within.stage {
                AttemptStage::Writing if waits => return AttemptRelation::Telling,
                AttemptStage::Waiting | AttemptStage::Withdrawn | AttemptStage::Running | AttemptStage::Writing => {
                    open = Some(number)
                }
                AttemptStage::Told(_) | AttemptStage::Refused(_) => {
                    last = Some(within.stage);
                    settled += 1;
                }
                AttemptStage::Silent => {}
            }
        }
        if let Some(open) = open {
            self.withdraw_within(attempt);
            // Where there is no answer, nothing is to be told beside the end that is still to come.
            return if end == EndKind::Dropped { AttemptRelation::Told } else { AttemptRelation::Beside(open) };
        }
        match last {
            // The response may be made of that of any of them, or of none.
            Some(AttemptStage::Told(kind)) if settled > 1 && (end == EndKind::Response || kind != end) => {
                AttemptRelation::Alone
            }
            // A handler has named this very run, and the response is of nobody within: an end of its own.
            Some(AttemptStage::Told(_)) if end == EndKind::Response && self[attempt].values.event_type.is_some() => {
                AttemptRelation::Alone
            }
            Some(AttemptStage::Told(_)) => AttemptRelation::Told,
            Some(AttemptStage::Refused(refusal)) if end == EndKind::Response => AttemptRelation::Refused(refusal),
            Some(AttemptStage::Refused(_)) => AttemptRelation::Told,
            _ => AttemptRelation::Alone,
        }
    }

    fn withdraw_within(&mut self, attempt: usize) {
        let waiting: SmallVec<[usize; 4]> =
            self.within(attempt).filter(|(_, w)| w.stage == AttemptStage::Waiting).map(|(number, _)| number).collect();
        for number in waiting {
            self[number].stage = AttemptStage::Withdrawn;
        }
    }

    /// Says that the handler is not to be called, if it has not been called.
    pub(crate) fn withdraw(&mut self, attempt: usize) {
        if self[attempt].stage == AttemptStage::Waiting {
            self[attempt].stage = AttemptStage::Withdrawn;
        }
    }

    /// Says that the handler is about to be called. False: it must not be.
    pub(crate) fn begin(&mut self, attempt: usize) -> bool {
        if self[attempt].stage != AttemptStage::Waiting {
            return false;
        }
        self[attempt].stage = AttemptStage::Running;
        self.adopt_started(attempt);
        true
    }

    /// Takes over the `started` event of an attempt around this one. True: this one has one.
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

    /// Says that the event of this attempt is being written.
    pub(crate) fn claim(&mut self, attempt: usize) {
        self.adopt_started(attempt);
        self.tell(attempt);
    }

    /// Says that the end of this attempt is about to be told, by itself or by one within it.
    pub(crate) fn tell(&mut self, attempt: usize) {
        self[attempt].stage = AttemptStage::Writing;
    }

    pub(crate) fn is_open(&self, attempt: usize) -> bool {
        self[attempt].stage.is_open()
    }

    /// Everything that was said around this attempt, in it, and within the latest one within it; in this order, so that
    /// the last word counts.
    fn contexts(&self, attempt: usize) -> impl Iterator<Item = &ContextValues> {
        let mut order: SmallVec<[usize; 4]> = self.around(attempt).collect();
        order.reverse();
        let mut innermost = attempt;
        for number in attempt + 1..self.list.len() {
            let latest = (number..self.list.len()).rev().find(|&later| self[later].within == Some(innermost));
            let Some(latest) = latest else { break };
            order.push(latest);
            innermost = latest;
        }
        order.into_iter().map(|number| &self[number].values)
    }

    /// The last word on something.
    fn last<T>(&self, attempt: usize, of: impl Fn(&ContextValues) -> Option<T>) -> Option<T> {
        if !self.has_others() {
            return of(&self[attempt].values);
        }
        self.contexts(attempt).filter_map(of).last()
    }

    /// The event type that a handler has named.
    pub(crate) fn declared(&self, attempt: usize) -> Option<EventType> {
        let own = &self[attempt].values.event_type;
        // What was said within belongs to the ends that were told there.
        if own.is_some() && self.within(attempt).any(|(_, within)| matches!(within.stage, AttemptStage::Told(_))) {
            return own.clone();
        }
        self.last(attempt, |said| said.event_type.clone())
    }

    pub(crate) fn result_count(&self, attempt: usize) -> Option<u64> {
        self.last(attempt, |said| said.result_count)
    }

    pub(crate) fn expected_status(&self, attempt: usize) -> Option<StatusCode> {
        self.last(attempt, |said| said.expected_status)
    }

    pub(crate) fn request_id(&mut self) -> &CompactText {
        let Self { list, request_id } = self;
        request_id.get_or_insert_with(|| {
            let head = list.iter().find_map(|attempt| attempt.head.as_ref());
            head.and_then(RequestHead::clean_request_id).unwrap_or_else(new_request_id)
        })
    }

    /// An event with everything that is known of the request so far, but for the details.
    pub(crate) fn draft(
        &mut self,
        attempt: usize,
        event_type: EventType,
        policy: &AuditPolicy,
        rule: Option<usize>,
    ) -> Box<AuditEvent> {
        let mut event = Box::new(AuditEvent::new(event_type));
        if let Some(written) = &self[attempt].written {
            // Of one request there is one event, whichever of the two it is.
            (event.event_id, event.created_at) = (written.event_id, written.created_at);
        }
        event.request.request_id = Some(self.request_id().clone());
        let head = self[attempt].head.as_ref();
        let head = head.or_else(|| self.list.iter().find_map(|other| other.head.as_ref()));
        if let Some(head) = head {
            let route = self.last(attempt, |said| said.route.clone());
            head.apply_to(&mut event, policy, rule, route.as_ref());
        }
        if head.is_none_or(|head| head.actor().is_none())
            && let Some(found) = self.extension_actor(attempt)
        {
            overlay(&mut event.actor, found);
        }
        event.request.started_event_id = self[attempt].started.as_ref().map(|started| started.event_id);
        self.write_names(attempt, &mut event);
        event
    }

    /// An actor that nobody has said.
    fn extension_actor(&self, attempt: usize) -> Option<Actor> {
        let found = self.last(attempt, |said| said.extension_actor.clone());
        found.or_else(|| self.list.iter().filter_map(|attempt| attempt.head.as_ref()?.actor()).next_back().cloned())
    }

    /// Writes the names of things, as they were said so far, into the event.
    pub(crate) fn write_names(&self, attempt: usize, event: &mut AuditEvent) {
        if self.has_others() {
            self.contexts(attempt).for_each(|said| said.name(event));
        } else {
            self[attempt].values.name(event);
        }
    }

    /// The details that were said so far. Taken, where nobody else needs them.
    pub(crate) fn take_details(&mut self, attempt: usize) -> Details {
        if self.has_others() { self.details(attempt) } else { std::mem::take(&mut self[attempt].values.details) }
    }

    /// The details that were said so far.
    pub(crate) fn details(&self, attempt: usize) -> Details {
        self.contexts(attempt).flat_map(|said| said.details.clone()).collect()
    }
}
