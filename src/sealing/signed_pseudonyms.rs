//! The texts that erasures have put in place of names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::event::EventId;
use crate::seal::LeafRanges;

/// The text that a part of an erasure puts in place of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedName {
    /// The id of the erasure's `started` event.
    pub(super) erasure: EventId,
    pub(super) part: u64,
    /// The pseudonym; none for null.
    pub(super) text: Option<Arc<str>>,
}

/// The names that erasures have signed for one cell, by the leaves of its events.
///
/// ```text
/// signed: 0-9 null, then 5-6 "former-1"
/// ranges: 0-4 null    5-6 "former-1" after null    7-9 null
/// ```
#[derive(Debug, Default)]
pub(super) struct SignedNames {
    /// By the first leaf of a range: the last one, and the place of the newest name.
    ranges: BTreeMap<u64, (u64, usize)>,
    /// Each name with the place of the one that was signed before it for the same leaves.
    names: Vec<(Arc<SignedName>, Option<usize>)>,
}

impl SignedNames {
    /// Adds a name that was signed after all others.
    pub(super) fn add(&mut self, leaves: &LeafRanges, name: &Arc<SignedName>) {
        let mut places: HashMap<Option<usize>, usize> = HashMap::new();
        for &(first, last) in leaves.ranges() {
            self.split_at(first);
            last.checked_add(1).into_iter().for_each(|after| self.split_at(after));
            let mut pieces = Vec::new();
            let mut next = Some(first);
            for (&start, &(end, place)) in self.ranges.range(first..=last) {
                pieces.extend(next.filter(|next| *next < start).map(|next| (next, start - 1, None)));
                pieces.push((start, end, Some(place)));
                next = end.checked_add(1);
            }
            pieces.extend(next.filter(|next| *next <= last).map(|next| (next, last, None)));
            for (start, end, before) in pieces {
                let place = *places.entry(before).or_insert_with(|| {
                    self.names.push((Arc::clone(name), before));
                    self.names.len() - 1
                });
                self.ranges.insert(start, (end, place));
            }
        }
    }

    /// Returns the names for a leaf, the newest first.
    pub(super) fn of(&self, leaf: u64) -> impl Iterator<Item = &SignedName> {
        let range = self.ranges.range(..=leaf).next_back().filter(|(_, (last, _))| leaf <= *last);
        let newest = range.and_then(|(_, (_, place))| self.names.get(*place));
        std::iter::successors(newest, |(_, before)| self.names.get((*before)?)).map(|(name, _)| &**name)
    }

    /// Makes two ranges of the one that this leaf is within.
    fn split_at(&mut self, leaf: u64) {
        let within = self.ranges.range(..leaf).next_back().map(|(start, range)| (*start, *range));
        if let Some((start, (end, place))) = within.filter(|(_, (end, _))| *end >= leaf) {
            self.ranges.insert(start, (leaf - 1, place));
            self.ranges.insert(leaf, (end, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_leaf_has_the_names_that_were_signed_for_it(
            parts in prop::collection::vec(prop::collection::vec(0_u64..40, 0..30), 0..8),
        ) {
            let mut names = SignedNames::default();
            let mut expected: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            for (part, leaves) in (0..).zip(&parts) {
                let name = SignedName { erasure: EventId::from_u128(1), part, text: None };
                let leaves: LeafRanges = leaves.iter().copied().collect();
                names.add(&leaves, &Arc::new(name));
                for leaf in (0..40).filter(|leaf| leaves.contains(*leaf)) {
                    expected.entry(leaf).or_default().insert(0, part);
                }
            }
            for leaf in 0..41 {
                let found: Vec<u64> = names.of(leaf).map(|name| name.part).collect();
                prop_assert_eq!(found, expected.remove(&leaf).unwrap_or_default(), "leaf {}", leaf);
            }
        }
    }

    #[test]
    fn ranges_to_the_last_number_are_fine() {
        let mut names = SignedNames::default();
        let name = |part| Arc::new(SignedName { erasure: EventId::from_u128(1), part, text: Some("x".into()) });
        names.add(&format!("0-{}", u64::MAX).parse().expect("a set"), &name(1));
        names.add(&format!("7 {}", u64::MAX).parse().expect("a set"), &name(2));
        let parts = |leaf| names.of(leaf).map(|name| name.part).collect::<Vec<_>>();
        assert_eq!([parts(6), parts(7), parts(8), parts(u64::MAX)], [vec![1], vec![2, 1], vec![1], vec![2, 1]]);
    }
}
