//! The contract between the log and a store.

use std::fmt;

use super::{Capabilities, Diagnostic, Reader, Recovery, StoreAdmin, StoreFuture, Transactional};
use crate::event::AuditEvent;

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
