//! One page of a listing.

use super::{Cursor, Filter};

/// A query for one page of the events that pass a filter: newest first, ties by id, greatest first.
///
/// ```
/// use tower_audit::query::{Cursor, Filter, PageQuery};
/// # use tower_audit::{AuditEvent, EventType};
///
/// let last = AuditEvent::new(EventType::UPLOAD);
/// let next = PageQuery::new(Filter::new().outcome(403), 100).after(Cursor::of(&last));
/// assert_eq!((next.limit, next.skip), (100, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageQuery {
    /// The filter.
    pub filter: Filter,
    /// The place after which the page begins; `None`: at the newest event.
    pub after: Option<Cursor>,
    /// The number of leading events to skip.
    pub skip: u64,
    /// The page size. 0 gives an empty page. A page with fewer events is the last one.
    pub limit: usize,
}

impl PageQuery {
    /// The first `limit` events that pass `filter`.
    pub fn new(filter: Filter, limit: usize) -> Self {
        Self { filter, after: None, skip: 0, limit }
    }

    /// Begins after this place.
    #[must_use]
    pub fn after(mut self, place: impl Into<Option<Cursor>>) -> Self {
        self.after = place.into();
        self
    }

    /// Leaves out that many events at the beginning.
    #[must_use]
    pub fn skip(mut self, events: u64) -> Self {
        self.skip = events;
        self
    }
}
