//! The part of a store that creates its schema and deletes old events.

use std::time::Duration;

use super::StoreFuture;
use crate::event::Timestamp;

/// Provisions a store and removes from it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot administer a store",
    label = "expected a store's own type that implements `StoreAdmin`",
    note = "a store that is administered elsewhere leaves `admin` out of its `Parts`"
)]
pub trait StoreAdmin: Send + Sync {
    /// Makes the store anew, empty. Destroys every event in it.
    fn recreate(&self) -> StoreFuture<'_, ()>;

    /// Makes what is missing of tables and indexes and leaves every event as it is. Can be done at any time, by
    /// several at once.
    fn migrate(&self) -> StoreFuture<'_, ()>;

    /// Removes up to about `at_most` of the events older than `before`, and says how many and whether there may be
    /// more. Callers repeat it until there is no more; writers get their turn between the calls.
    ///
    /// Copies of events that the store keeps beside them go as well. A copy of an open `started` event stays while it is
    /// younger than [`OPEN_COPY_AGE`]: its request may be running, and the copy tells of it if the process dies.
    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome>;

    /// Returns the age below which no event may be deleted; none by default. See
    /// [`RetentionFloor`](super::RetentionFloor).
    fn retention_floor(&self) -> Option<Duration> {
        None
    }

    /// Sets the age below which the store deletes no event on its own, as a log of JSON lines does with `keep`. Called by
    /// [`RetentionFloor`](super::RetentionFloor); does nothing by default.
    fn apply_retention_floor(&self, floor: Duration) {
        let _ = floor;
    }
}

/// The age from which a purge deletes the copy of an open `started` event as well: a day.
pub const OPEN_COPY_AGE: Duration = Duration::from_secs(86_400);

/// The result of one call of [`StoreAdmin::purge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct PurgeOutcome {
    /// The number of deleted events.
    pub deleted: u64,
    /// True if more events may be old enough.
    pub has_more: bool,
}
