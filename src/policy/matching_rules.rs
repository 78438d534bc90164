//! The rules that a request may be recorded by.

use std::fmt;

/// The rules whose methods and paths match a request: a set of indices into [`AuditPolicy::rules`], one word wide.
///
/// [`AuditPolicy::rules`]: super::AuditPolicy::rules
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MatchingRules(pub(super) u64);

impl MatchingRules {
    /// No rule.
    pub(crate) const NONE: Self = Self(0);

    /// The maximum number of rules in a policy.
    pub(crate) const MAX_RULES: usize = 64;

    /// Returns true if no rule with methods or paths matches.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if the rule at this index matches.
    pub const fn contains(self, index: usize) -> bool {
        index < Self::MAX_RULES && self.0 & (1 << index) != 0
    }

    /// The first rule that matches.
    pub(crate) const fn first(self) -> Option<usize> {
        if self.is_empty() { None } else { Some(self.0.trailing_zeros() as usize) }
    }

    /// The rules that match, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self;
        std::iter::from_fn(move || {
            let first = left.first()?;
            left.0 &= left.0 - 1;
            Some(first)
        })
    }
}

impl fmt::Debug for MatchingRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_index_fits() {
        let all = MatchingRules(u64::MAX);
        assert_eq!(all.iter().count(), MatchingRules::MAX_RULES);
        assert!(all.contains(63) && !all.contains(64));
        assert_eq!(MatchingRules(1 << 63).first(), Some(63));
        assert_eq!(MatchingRules::NONE.first(), None);
    }
}
