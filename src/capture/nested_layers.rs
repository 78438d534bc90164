//! The relation of an attempt that has ended to those within it.

use http::StatusCode;
use smallvec::SmallVec;

use super::layer_attempt::{AttemptStage, EndKind, WithheldResponse};
use super::layer_attempts::Attempts;

/// The relation of an attempt whose own run has ended to the attempts within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptRelation {
    /// None of them has recorded this end.
    Alone,
    /// One of them has.
    Told,
    /// The rules of one of them leave this end out.
    LeftOut,
    /// One of them could not, and this response is its refusal.
    IsRefusal(WithheldResponse),
    /// One of them could not, and a layer in between has made another response of its refusal.
    Refused(WithheldResponse),
    /// One of them is about to.
    Telling,
    /// This end is not that of any of them. The rules of this one apply, which was still open when this end came.
    Beside(usize),
}

impl Attempts {
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
                AttemptStage::Refused(refusal) => AttemptRelation::IsRefusal(refusal),
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
        let is_named_here =
            kind == EndKind::Response && self[attempt].values().is_some_and(|values| values.event_type.is_some());
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
}
