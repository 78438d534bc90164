//! The contract between the log and a store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::{Capabilities, Diagnostic, StoreError, Transactional};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Buckets, Field, Filter, PageQuery, ValueCount};

/// The future of a store's methods, boxed so that stores are trait objects.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place that events are appended to.
///
/// # Contract
/// - **Append.** All of a batch, or none of it, is kept. When the future is ready with `Ok`, the batch is as durable
///   as [`Capabilities::durable`] says, and a reader sees it. An error says nothing about whether the batch was kept:
///   the caller appends it again, or does not.
/// - **The id is the key.** An event whose id is already kept is not kept again, whatever else is in it; this is no
///   error. So an append can be repeated.
/// - **Everything is accepted.** A store refuses no event that [`AuditEvent::truncate_to_limits`] left as it is.
/// - **Nothing is updated.** What is kept is returned as it was given, until a purge removes it.
/// - **Damage.** A store that has seen damage, in whatever it was doing, refuses appends and fails its health check as
///   [`Corrupt`](super::StoreErrorKind::Corrupt) until an operator has looked at it: an event that is written to a
///   damaged store may not be readable. The log takes such an error from [`tidy`](Self::maintain) as a failed health
///   check, too.
/// - **Time.** A future may take long or hang: the caller bounds it. The caller does not drop the future of an append
///   that it has polled, nor one of [`tidy`](Self::maintain), except when the process or the runtime ends.
///
/// What more a store can do is in the parts it returns: [`reader`](Self::reader), [`keeper`](Self::keeper),
/// [`orphans`](Self::orphans), [`in_transaction`](Self::in_transaction). The conformance suite (feature `conformance`)
/// is this contract as tests.
///
/// `Debug` must not show a connection string.
pub trait AuditStore: fmt::Debug + Send + Sync + 'static {
    /// What the store can do.
    fn capabilities(&self) -> Capabilities;

    /// Keeps a batch of events; see the contract above.
    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()>;

    /// Whether the next append would be accepted and be durable. Tries it as far as that leaves no event behind.
    fn health(&self) -> StoreFuture<'_, ()>;

    /// What an operator should know of the store, found out now: how it is set up, and what is wrong with it beyond what
    /// [`health`](Self::health) says. Changes nothing.
    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Called while nothing waits to be written: a moment for work that appends would otherwise have to do.
    /// A call takes a few milliseconds at most and says whether there is more to do. An append may begin while it runs.
    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Lets go of everything. Appends fail from here on.
    fn close(&self) -> StoreFuture<'_, ()>;

    /// The part that reads, if the store can be read.
    fn reader(&self) -> Option<&dyn Reader>;

    /// The part that provisions and removes, if the store has one.
    fn keeper(&self) -> Option<&dyn StoreAdmin>;

    /// The part that finds the `started` events of dead processes, if the store has one.
    fn orphans(&self) -> Option<&dyn Recovery>;

    /// The part that keeps events in transactions of the app's own, if the store has one.
    fn in_transaction(&self) -> Option<&dyn Transactional> {
        None
    }
}

/// Reads a store. A reader sees every event whose append was acknowledged before it was called.
pub trait Reader: Send + Sync {
    /// One page: newest first, ties by id, greatest first.
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>>;

    /// How many events pass the filter, exactly.
    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64>;

    /// How many events pass the filter, by what they have in a field: the `at_most` of them with the most events, the
    /// most first, then by the bytes of the value, nothing last.
    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>>;

    /// How many events pass the filter in each of the buckets, in their order.
    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>>;

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

/// Provisions a store and removes from it.
pub trait StoreAdmin: Send + Sync {
    /// Makes the store anew, empty. Destroys every event in it.
    fn recreate(&self) -> StoreFuture<'_, ()>;

    /// Makes what is missing of tables and indexes and leaves every event as it is. Can be done at any time, by
    /// several at once.
    fn migrate(&self) -> StoreFuture<'_, ()>;

    /// Removes up to about `at_most` of the events older than `before`, and says how many and whether there may be
    /// more. Callers repeat it until there is no more; writers get their turn between the calls.
    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome>;
}

/// What one call of [`StoreAdmin::purge`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeOutcome {
    /// The number of deleted events.
    pub deleted: u64,
    /// True if more events may be old enough.
    pub has_more: bool,
}

/// Finds the `started` events that no later event ends and whose process no longer lives.
pub trait Recovery: Send + Sync {
    /// For each of them, keeps what `close` makes of it; each is closed once, whoever of several callers comes first.
    /// Says how many were closed.
    ///
    /// An event is never taken for an orphan while the process that wrote it lives, however old it is.
    fn recover<'a>(&'a self, close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync)) -> StoreFuture<'a, u64>;
}
