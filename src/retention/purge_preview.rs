//! The counts of a purge before it runs, and the bounds that it keeps to.

use std::time::Duration;

use crate::event::Timestamp;
use crate::query::Cursor;
use crate::store::EventExtent;

/// The events that a purge would delete, counted; and the bounds that the run then keeps to.
///
/// The run with this preview uses its moment and its bounds. So it deletes the events that were counted, and such that another
/// program inserts meanwhile within the bounds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PurgePreview {
    /// The number of events to delete, and the times of the first and the last; none if there is no event, or if
    /// this account may delete events and not count them.
    pub range: Option<EventExtent>,
    /// The number of events to delete for each rule, in the order of the rules; empty without rules.
    pub rules: Vec<u64>,
    /// The number of events that the plan selects and the floor keeps.
    pub kept_by_floor: u64,
    /// The number of `started` events that the rules select and that stay because their requests run.
    pub open: u64,
    pub(super) is_counted: bool,
    /// The moment from which ages are counted.
    pub as_of: Timestamp,
    /// The floor: no younger event is deleted.
    pub floor: Option<Duration>,
    pub(super) deletion: Deletion,
}

impl PurgePreview {
    /// Returns the number of events to delete; none if this account may delete events and not count them.
    pub fn events(&self) -> Option<u64> {
        self.is_counted.then(|| self.range.map_or(0, |range| range.events))
    }
}

/// The bounds of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deletion {
    Nothing,
    /// Events from before this moment.
    Before(Timestamp),
    /// The event at this position, and those behind it in a listing.
    Through(Cursor),
    /// Events from before `until` that a rule selects. Those from before `all_before` are selected whatever they hold:
    /// `rules` is their number for each rule.
    #[cfg(feature = "retention-rules")]
    ByRules {
        until: Timestamp,
        all_before: Option<Timestamp>,
        rules: Vec<u64>,
    },
}
