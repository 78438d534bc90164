//! The attempts at one request.

use smallvec::SmallVec;

use super::layer_attempt::{Attempt, AttemptStage, Detached};
use super::wait_clock::WaitClock;
use crate::event::CompactText;
use crate::writer::LogId;

/// The maximum number of attempts at one request. A call beyond it is taken for another request: it is still recorded, but
/// the layers around it do not know of it, and record their own end too.
const MAX_ATTEMPTS: usize = 1024;

/// The attempts at one request, in the order of the calls: the outer layers first.
#[derive(Default)]
pub(crate) struct Attempts {
    pub(super) list: SmallVec<[Attempt; 1]>,
    pub(super) request_id: Option<CompactText>,
    /// One for each log that has made the request wait.
    pub(super) clocks: SmallVec<[WaitClock; 1]>,
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
    pub(super) fn new(first: Attempt) -> Self {
        Self { list: SmallVec::from_buf([first]), request_id: None, clocks: SmallVec::new() }
    }

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

    pub(super) fn log_of(&self, attempt: usize) -> Option<LogId> {
        self[attempt].layer.as_ref().map(|layer| layer.log_id)
    }

    pub(super) fn clock(&mut self, log: LogId) -> &mut WaitClock {
        let index = self.clocks.iter().position(|clock| clock.log == log).unwrap_or_else(|| {
            self.clocks.push(WaitClock::new(log));
            self.clocks.len() - 1
        });
        &mut self.clocks[index]
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

    /// Returns true if this attempt is cancelled, or one of its log around it.
    pub(super) fn is_cancelled(&self, attempt: usize) -> bool {
        let mut of_log = std::iter::successors(Some(attempt), |&attempt| self[attempt].outer);
        of_log.any(|attempt| self[attempt].is_cancelled)
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
    pub(super) fn around(&self, attempt: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(attempt), |&attempt| self[attempt].within)
    }

    /// The attempts of the same log within this one that no other attempt with a say is around.
    pub(super) fn within(&self, attempt: usize) -> impl Iterator<Item = (usize, &Attempt)> {
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
}
