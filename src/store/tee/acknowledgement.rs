//! The members that take an event, and those that must have it.

use super::lane::{Lane, Role};
use super::quorum::{Quorum, Unmatched};
use crate::event::EventType;

/// A set of members: bit `n` is member `n`.
pub(super) type Members = u32;

/// The largest number of members.
pub(super) const MAX_MEMBERS: usize = 16;

/// The rules of the acknowledgement.
#[derive(Debug)]
pub(super) struct AckRules {
    required: Members,
    counted: Members,
    quorum: Quorum,
    unmatched: Unmatched,
}

/// The acknowledgements that an event needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// Each of these.
    required: Members,
    /// And this many of those.
    at_least: u32,
    counted: Members,
}

/// The decision about an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    Acknowledged,
    /// It cannot be acknowledged any more.
    Refused,
}

impl AckRules {
    pub(super) fn new(lanes: &[impl AsRef<Lane>], quorum: Quorum, unmatched: Unmatched) -> Self {
        let having = |has: &dyn Fn(&Lane) -> bool| {
            let bits = lanes.iter().enumerate().filter(|(_, lane)| has(lane.as_ref()));
            bits.fold(0, |members, (index, _)| members | bit(index))
        };
        Self {
            required: having(&|lane| lane.role == Role::Required),
            counted: having(&|lane| lane.is_counted),
            quorum,
            unmatched,
        }
    }

    /// Returns the acknowledgements that an event needs which these members take. None: too few members take it.
    pub(super) fn need(&self, takers: Members) -> Option<Need> {
        let counted = self.counted & takers;
        let at_least = self.quorum.of(counted.count_ones());
        (counted.count_ones() >= at_least).then_some(Need { required: self.required & takers, at_least, counted })
    }

    /// Returns the acknowledgements that an event needs which too few members take. None: it is refused.
    pub(super) fn need_of_unmatched(&self, takers: Members) -> Option<Need> {
        let need = Need { required: self.required & takers, at_least: 0, counted: 0 };
        (self.unmatched == Unmatched::Discard).then_some(need)
    }
}

impl Need {
    pub(super) fn verdict(&self, acknowledged: Members, failed: Members) -> Verdict {
        let Self { required, at_least, counted } = *self;
        if required & failed != 0 || (counted & !failed).count_ones() < at_least {
            Verdict::Refused
        } else if required & !acknowledged == 0 && (counted & acknowledged).count_ones() >= at_least {
            Verdict::Acknowledged
        } else {
            Verdict::Open
        }
    }

    /// Returns true if the failure of a member can be a reason for a refusal.
    pub(super) fn concerns(&self, member: usize) -> bool {
        (self.required | self.counted) & bit(member) != 0
    }
}

/// Returns the set of one member.
pub(super) fn bit(member: usize) -> Members {
    1 << member
}

/// Returns the members that take events of a type. Those of the log itself go to all.
pub(super) fn takers(lanes: &[impl AsRef<Lane>], event_type: &EventType) -> Members {
    let is_own = event_type.as_str().starts_with(OWN_EVENTS);
    let takes = |lane: &Lane| is_own || lane.filter.as_ref().is_none_or(|filter| filter.allows(event_type));
    let takers = lanes.iter().enumerate().filter(|(_, lane)| takes(lane.as_ref()));
    takers.fold(0, |members, (index, _)| members | bit(index))
}

/// The beginning of the types of the log's own events.
pub(super) const OWN_EVENTS: &str = "audit.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_acknowledged_by_the_required_and_enough_of_the_counted() {
        let routing = |required, counted, quorum| AckRules { required, counted, quorum, unmatched: Unmatched::Refuse };
        let two = Quorum::AtLeast(2.try_into().unwrap());
        for (routing, takers, acknowledged, failed, verdict) in [
            (routing(0, 0b11, Quorum::All), 0b11, 0b01, 0, Verdict::Open),
            (routing(0, 0b11, Quorum::All), 0b11, 0b11, 0, Verdict::Acknowledged),
            (routing(0, 0b11, Quorum::All), 0b11, 0b01, 0b10, Verdict::Refused),
            (routing(0, 0b11, Quorum::All), 0b01, 0b01, 0, Verdict::Acknowledged),
            (routing(0, 0b11, Quorum::Any), 0b11, 0b10, 0b01, Verdict::Acknowledged),
            (routing(0, 0b11, Quorum::Any), 0b11, 0, 0b01, Verdict::Open),
            (routing(0, 0b11, Quorum::Any), 0b11, 0, 0b11, Verdict::Refused),
            (routing(0b01, 0b11, Quorum::Any), 0b11, 0b10, 0, Verdict::Open),
            (routing(0b01, 0b11, Quorum::Any), 0b11, 0b10, 0b01, Verdict::Refused),
            // A required sink does not count, and is needed all the same.
            (routing(0b100, 0b11, Quorum::Any), 0b111, 0b001, 0, Verdict::Open),
            (routing(0b100, 0b11, Quorum::Any), 0b111, 0b100, 0, Verdict::Open),
            (routing(0b100, 0b11, Quorum::Any), 0b111, 0b101, 0, Verdict::Acknowledged),
            (routing(0, 0b111, two), 0b111, 0b011, 0b100, Verdict::Acknowledged),
            (routing(0, 0b111, two), 0b111, 0b001, 0b100, Verdict::Open),
            (routing(0, 0b111, two), 0b111, 0b001, 0b110, Verdict::Refused),
        ] {
            let need = routing.need(takers).expect("enough members take it");
            assert_eq!(need.verdict(acknowledged, failed), verdict, "{routing:?} {acknowledged:b} {failed:b}");
        }
        assert_eq!(routing(0, 0b111, two).need(0b001), None);
        assert_eq!(routing(0b100, 0b011, Quorum::All).need(0b100), None);
    }
}
