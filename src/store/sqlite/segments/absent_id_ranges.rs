//! Ranges of ids that segments do not have, within their bounds.
//!
//! Ids grow with time, so a new one is usually beyond every segment. It is not after a process whose clock was ahead:
//!
//! - t0: B's clock is a day ahead. A segment gets A's ids of today and B's of tomorrow.
//! - t1: until tomorrow, each new id of A's lies within the bounds of that segment and of all that were filled since.
//! - t2: a look for one of them finds its neighbours in the segment, and none of A's later ids needs a look until tomorrow.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::segment::Segment;

/// A range without an id for each segment that was looked into.
#[derive(Debug, Default)]
pub(crate) struct AbsentIdRanges {
    gaps: HashMap<i64, Gap>,
}

#[derive(Debug)]
struct Gap {
    /// The segment as it was when it was looked into.
    of: Segment,
    ids: RangeInclusive<u128>,
}

impl AbsentIdRanges {
    /// Returns true if the segment may have an id of this range.
    pub(crate) fn may_contain_any(&self, segment: &Segment, ids: &RangeInclusive<u128>) -> bool {
        segment.min_id <= *ids.end()
            && *ids.start() <= segment.max_id
            && self
                .gaps
                .get(&segment.n)
                .is_none_or(|gap| !gap.is_of(segment) || !gap.ids.contains(ids.start()) || !gap.ids.contains(ids.end()))
    }

    /// Remembers a range without an id of the segment.
    pub(crate) fn insert(&mut self, segment: Segment, ids: RangeInclusive<u128>) {
        self.gaps.insert(segment.n, Gap { of: segment, ids });
    }

    /// Forgets the segments that are gone. `segments` is in the order of their numbers.
    pub(crate) fn retain(&mut self, segments: &[Segment]) {
        self.gaps.retain(|n, _| segments.binary_search_by_key(n, |segment| segment.n).is_ok());
    }
}

impl Gap {
    /// Returns true if the segment has taken no id since.
    fn is_of(&self, segment: &Segment) -> bool {
        let ids = |segment: &Segment| (segment.events_n, segment.min_id, segment.max_id);
        ids(&self.of) == ids(segment)
    }
}
