//! Sets of leaves.

use std::fmt;
use std::str::FromStr;

use crate::seal::SealError;
use crate::seal::error::decimal;

/// A set of numbers of leaves, kept as ranges. Its text has ranges in ascending order: `0-999 1005 1007-1010`.
///
/// ```
/// use tower_audit::seal::LeafRanges;
///
/// let leaves: LeafRanges = [7, 3, 4, 5].into_iter().collect();
/// assert_eq!(leaves.to_string(), "3-5 7");
/// assert!(leaves.contains(4) && !leaves.contains(6));
/// # Ok::<(), tower_audit::seal::SealError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeafRanges {
    /// First and last of each range; ascending, with a gap between two.
    ranges: Vec<(u64, u64)>,
}

impl LeafRanges {
    /// Returns true if no leaf is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns the number of leaves.
    pub fn count(&self) -> u64 {
        self.ranges.iter().fold(0, |count, (first, last)| count.saturating_add(last - first).saturating_add(1))
    }

    /// Returns true if the leaf is in the set.
    pub fn contains(&self, index: u64) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= index);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, last)| index <= *last)
    }

    /// Returns the smallest leaf of the set from `index` on.
    pub(crate) fn first_from(&self, index: u64) -> Option<u64> {
        let at = self.ranges.partition_point(|(_, last)| *last < index);
        self.ranges.get(at).map(|(first, _)| index.max(*first))
    }

    /// Returns the first and the last leaf of each range, ascending.
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// Returns the first and the last leaf, in words.
    pub(crate) fn first_and_last(&self) -> String {
        let (first, last) =
            (self.ranges.first().map_or(0, |(first, _)| *first), self.ranges.last().map_or(0, |(_, last)| *last));
        format!("{first} to {last}")
    }

    /// Adds the leaves of another set.
    pub fn add(&mut self, other: &Self) {
        // Purges list later leaves than the ones before, as a rule.
        self.ranges.extend_from_slice(&other.ranges);
        self.normalize();
    }

    fn normalize(&mut self) {
        self.ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.ranges.len());
        for (first, last) in self.ranges.drain(..) {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        self.ranges = merged;
    }
}

impl FromIterator<u64> for LeafRanges {
    fn from_iter<I: IntoIterator<Item = u64>>(indexes: I) -> Self {
        let mut set = Self { ranges: indexes.into_iter().map(|index| (index, index)).collect() };
        set.normalize();
        set
    }
}

impl fmt::Display for LeafRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (first, last)) in self.ranges.iter().enumerate() {
            let space = if number > 0 { " " } else { "" };
            match first == last {
                true => write!(f, "{space}{first}")?,
                false => write!(f, "{space}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Reads the text of a set that is not empty.
impl FromStr for LeafRanges {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let wrong = || SealError::text("set of leaves", text, "ascending ranges such as `0-999 1005`");
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for range in text.split(' ') {
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (decimal(first), decimal(last).filter(|last| Some(*last) > decimal(first))),
                None => (decimal(range), decimal(range)),
            };
            let (Some(first), Some(last)) = (first, last) else { return Err(wrong()) };
            if ranges.last().is_some_and(|(_, end)| first <= end.saturating_add(1)) {
                return Err(wrong());
            }
            ranges.push((first, last));
        }
        Ok(Self { ranges })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_no_sets_are_refused() {
        for text in ["", " ", "1 ", "2-1", "1-1", "1 2", "3 1", "1-3 3", "1-3 4", "01", "-1", "1-", "a", "1  3", "1,2"]
        {
            assert!(text.parse::<LeafRanges>().is_err(), "{text:?}");
        }
        let largest = format!("0 {}-{}", u64::MAX - 1, u64::MAX);
        let all: LeafRanges = largest.parse().unwrap();
        assert!(all.contains(u64::MAX) && all.contains(0) && !all.contains(1));
        assert_eq!((all.to_string(), all.count()), (largest, 3));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(mut indexes in prop::collection::vec(0_u64..60, 0..40), more in prop::collection::vec(0_u64..60, 0..40)) {
            let mut set: LeafRanges = indexes.iter().copied().collect();
            set.add(&more.iter().copied().collect());
            indexes.extend(more);
            for index in 0..60 {
                prop_assert_eq!(set.contains(index), indexes.contains(&index));
                prop_assert_eq!(set.first_from(index), indexes.iter().copied().filter(|next| *next >= index).min());
            }
            indexes.sort_unstable();
            indexes.dedup();
            prop_assert_eq!(set.count(), indexes.len() as u64);
            if !set.is_empty() {
                prop_assert_eq!(set.to_string().parse::<LeafRanges>().unwrap(), set);
            }
        }
    }
}
