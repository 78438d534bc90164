//! The part of a store that reads.

use super::{StoreFuture, StoredPage};
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Field, Filter, PageQuery, ValueCount};

/// Reads a store. A reader sees every event whose append was acknowledged before it was called.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read events",
    label = "expected a store's own type that implements `Reader`",
    note = "a store that can only be appended to leaves `reader` out of its `Parts`"
)]
pub trait Reader: Send + Sync {
    /// One page: newest first, ties by id, greatest first. A page with fewer events than its limit is the last one, and
    /// the [`Cursor`](crate::query::Cursor) of its last event leads to the next.
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>>;

    /// The page of [`query`](Self::query) as the store keeps it. `None`, the default: the store keeps no JSON that `query` would
    /// show unchanged.
    fn query_stored<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Option<StoredPage>> {
        let _ = query;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Counts the events that pass the filter, exactly.
    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64>;

    /// Counts the events that pass the filter, by their value of a field. Returns the `at_most` values with the most
    /// events. The order is by count, greatest first, then by the bytes of the value; among equal counts, `None` is
    /// last.
    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>>;

    /// Counts the events that pass the filter in each of the buckets, in the order of the buckets.
    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>>;

    /// Returns the names of the filter's conditions that the store has no index for. A query with one of them reads every event
    /// that the other conditions leave, until its page is full: where the store is large, let `since` bound it. None by
    /// default.
    ///
    /// So a slow query is announced. The read API returns the names in a header.
    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        let _ = filter;
        Vec::new()
    }

    /// Checks that events can be read with the rights that the store was opened with, without reading one.
    ///
    /// A service asks it once, when it mounts a reader: an account that may only append is told so at the start and not
    /// by each request.
    ///
    /// # Errors
    /// One of [`StoreErrorKind::Denied`](super::StoreErrorKind::Denied) that names the right to give; and whatever
    /// stands in the way of asking.
    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The event with this id.
    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>>;

    /// The event with this id, if its actor has exactly this name (`user_email`).
    ///
    /// For callers who may see their own events only. A store that can ask for both at once does: what another's event
    /// costs is then what a missing one costs, and the time tells a caller nothing.
    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            let found = self.get(id).await?;
            Ok(found.filter(|event| event.actor.user_email.as_deref() == Some(user_email)))
        })
    }
}
