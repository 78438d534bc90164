//! Conditions on outcomes.

use http::StatusCode;

use super::RequestOutcome;

/// The outcomes that a rule records: statuses, abnormal ends, and types declared by the handler.
///
/// ```
/// use tower_audit::RecordWhen;
///
/// let denied = RecordWhen::statuses([401, 403]);
/// let failed = RecordWhen::statuses(500..=599).or(denied);
/// assert_ne!(failed, RecordWhen::effect_possible());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWhen {
    always: bool,
    /// Sorted, neither overlapping nor adjacent.
    statuses: Vec<(u16, u16)>,
    abnormal: bool,
    declared: bool,
}

impl RecordWhen {
    const NEVER: Self = Self { always: false, statuses: Vec::new(), abnormal: false, declared: false };
    pub(super) const ALWAYS: Self = Self { always: true, statuses: Vec::new(), abnormal: false, declared: false };
    pub(super) const DECLARED: Self = Self { always: false, statuses: Vec::new(), abnormal: false, declared: true };

    /// Every outcome, denials and panics included.
    pub fn always() -> Self {
        Self::ALWAYS
    }

    /// Status 2xx.
    pub fn success() -> Self {
        Self::statuses(200..=299)
    }

    /// Every outcome after which the action may have had its effect: 2xx, 5xx, a panic, an inner error.
    pub fn effect_possible() -> Self {
        Self::statuses(200..=299).or(Self::statuses(500..=599)).or(Self::abnormal())
    }

    /// A panic, an inner error, an aborted request.
    pub fn abnormal() -> Self {
        Self { abnormal: true, ..Self::NEVER }
    }

    /// Only when the handler names the type of the rule.
    pub fn declared() -> Self {
        Self::DECLARED
    }

    /// These statuses: a list `[401, 403]`, or a range `400..=499`.
    ///
    /// A number that is no status (100 to 999) is an error when the policy is built.
    pub fn statuses(statuses: impl IntoIterator<Item = u16>) -> Self {
        Self { statuses: merge_ranges(statuses.into_iter().map(|status| (status, status)).collect()), ..Self::NEVER }
    }

    /// The outcomes of either.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.statuses.extend(other.statuses);
        Self {
            always: self.always || other.always,
            statuses: merge_ranges(self.statuses),
            abnormal: self.abnormal || other.abnormal,
            declared: self.declared || other.declared,
        }
    }

    /// Returns true for one of these outcomes; `declared`: the handler declared the type of the rule.
    pub(super) fn matches(&self, ended: &RequestOutcome<'_>, declared: bool) -> bool {
        self.always
            || (self.abnormal && ended.abnormal)
            || (self.declared && declared)
            || ended.status.is_some_and(|status| self.has(status))
    }

    /// Returns true if only a declaration makes it hold: then the rule needs no paths.
    pub(super) fn is_only_declared(&self) -> bool {
        *self == Self::declared()
    }

    /// Returns the fault, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        if *self == Self::NEVER {
            return Some("the list is empty, so that the rule never holds: expected at least one status".to_owned());
        }
        let wrong = self.statuses.iter().find_map(|&(first, last)| match (first, last) {
            (..100, _) => Some(first),
            (_, 1000..) => Some(last),
            _ => None,
        });
        wrong.map(|wrong| format!("{wrong} is no HTTP status: expected a number from 100 to 999"))
    }

    fn has(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|&(first, last)| (first..=last).contains(&status.as_u16()))
    }
}

/// Merges the ranges into as few as possible.
fn merge_ranges(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let touches = next.0 <= last.1.saturating_add(1);
        if touches {
            last.1 = last.1.max(next.1);
        }
        touches
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> RequestOutcome<'static> {
        RequestOutcome { status: StatusCode::from_u16(status).ok(), ..RequestOutcome::default() }
    }

    #[test]
    fn statuses_at_their_edges() {
        for (when, yes, no) in [
            (RecordWhen::success(), &[200, 201, 299][..], &[199, 300, 500][..]),
            (RecordWhen::effect_possible(), &[200, 299, 500, 599], &[199, 300, 404, 499, 600]),
            (RecordWhen::statuses([404, 410]), &[404, 410], &[403, 405, 409]),
            (RecordWhen::always(), &[100, 404, 999], &[]),
            (RecordWhen::declared(), &[], &[200]),
            (RecordWhen::abnormal(), &[], &[500]),
        ] {
            for &yes in yes {
                assert!(when.matches(&status(yes), false), "{when:?} {yes}");
            }
            for &no in no {
                assert!(!when.matches(&status(no), false), "{when:?} {no}");
            }
        }
    }

    #[test]
    fn an_end_without_a_status() {
        let aborted = RequestOutcome { abnormal: true, ..RequestOutcome::default() };
        for (when, holds) in [
            (RecordWhen::always(), true),
            (RecordWhen::effect_possible(), true),
            (RecordWhen::abnormal(), true),
            (RecordWhen::success(), false),
            (RecordWhen::statuses(100..=999), false),
        ] {
            assert_eq!(when.matches(&aborted, false), holds, "{when:?}");
        }
        assert!(RecordWhen::declared().matches(&aborted, true));
    }

    #[test]
    fn ranges_are_joined() {
        assert_eq!(RecordWhen::statuses([201, 200, 202, 200, 404]).statuses, [(200, 202), (404, 404)]);
        assert_eq!(RecordWhen::statuses(200..=250).or(RecordWhen::statuses(251..=299)), RecordWhen::success());
        assert_eq!(RecordWhen::statuses([u16::MAX, 0]).statuses, [(0, 0), (u16::MAX, u16::MAX)]);
    }

    #[test]
    fn what_cannot_be() {
        assert!(RecordWhen::statuses([]).problem().is_some_and(|fault| fault.contains("empty")));
        assert!(RecordWhen::statuses([99]).problem().is_some_and(|fault| fault.starts_with("99 ")));
        assert!(RecordWhen::statuses(998..=1000).problem().is_some_and(|fault| fault.starts_with("1000 ")));
        assert_eq!(RecordWhen::statuses(100..=999).problem(), None);
    }
}
