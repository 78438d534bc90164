//! The part of a store that deletes events one by one.

use super::StoreFuture;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};

/// Lists events by their positions and deletes single ones. Old events are deleted by
/// [`StoreAdmin::purge`](super::StoreAdmin::purge), which is faster.
///
/// Needs no more rights than a purge does: of an event, only its position is read.
pub trait Removal: Send + Sync {
    /// Returns the positions of the events that [`Reader::query`](super::Reader::query) would return, in its order.
    ///
    /// A filter by anything but the time may need the right to read.
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>>;

    /// Deletes the events at these positions, in one transaction or several, and returns the number of those that were
    /// there. An event with one of the ids and another time stays. The seed of a sealed event is deleted in the transaction that deletes
    /// the event.
    ///
    /// Callers give at most [`MAX_REMOVED`] positions, and pause between the calls.
    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64>;

    /// Returns those of the ids that are open: `started` events that no event has ended, as far as the store keeps a list
    /// of them for its recovery.
    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>>;

    /// Ends a series of removals: overwrites the pages that they have freed. Before that, deletes the copies of open `started` events
    /// from before a moment, as far as [`StoreAdmin::purge`](super::StoreAdmin::purge) would.
    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()>;
}

/// The largest number of positions in one call of [`Removal::remove`].
pub const MAX_REMOVED: usize = 1000;
