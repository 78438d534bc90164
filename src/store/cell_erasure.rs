//! The part of a store that erases single values.

use super::{StoreFuture, StoredSeed};
use crate::event::{AuditEvent, EventId};

/// Replaces events by ones of which values were erased: the only change that a stored event ever sees.
pub trait CellErasure: Send + Sync {
    /// Gives `replace` those of these events that are there, each with its seed if it has a leaf, and stores what it returns in their place: the
    /// event, the seed, and the copy of an open `started` event. All of it is one transaction, in which nobody else changes the event. Returns
    /// the number of replaced events.
    ///
    /// Id, time, type and phase of an event stay. The bytes of the old event are overwritten as those of a deleted one are.
    ///
    /// Callers give at most [`MAX_REMOVED`](super::MAX_REMOVED) ids, and pause between the calls.
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64>;

    /// Ends a series of erasures: overwrites the pages that they have freed.
    fn finish(&self) -> StoreFuture<'_, ()>;
}

/// Returns the event that takes the place of another, given that one and its seed; none to leave it.
pub type ReplaceEventFn<'a> = &'a (dyn Fn(&AuditEvent, Option<&StoredSeed>) -> Option<ErasedEvent> + Send + Sync);

/// An event of which values were erased.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an erasure makes it")]
pub struct ErasedEvent {
    /// The event.
    pub event: AuditEvent,
    /// The bytes that take the place of the seed; none for an event without a leaf.
    pub seed: Option<Vec<u8>>,
}
