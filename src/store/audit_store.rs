//! The contract between the log and a store.

use std::fmt;
use std::sync::Arc;

use super::{Capabilities, Diagnostic, Parts, StoreFuture};
use crate::event::AuditEvent;

/// A place that events are appended to.
///
/// # Contract
/// - **Append.** An event is stored whole or not at all. When the future returns `Ok`, every event of the batch is as durable
///   as [`Capabilities::durable`] says, and visible to readers. An error leaves it open which of them were stored; the
///   caller may append the batch again.
/// - **The id is the key.** An event whose id is stored already is ignored, whatever its other fields; this is no error. So
///   an append can be repeated.
/// - **Every event is accepted** that [`AuditEvent::truncate_to_limits`] leaves unchanged.
/// - **Nothing is updated.** A stored event is returned unchanged until a purge deletes it.
/// - **Damage.** After any operation has met damage, appends and health checks fail with
///   [`Corrupt`](super::StoreErrorKind::Corrupt) until an operator has intervened: an event that is written to a
///   damaged store may be unreadable. The log treats such an error of [`maintain`](Self::maintain) as a failed health
///   check.
/// - **Time.** A future may take long or hang; the caller sets a timeout. The caller never drops a polled future of
///   [`append`](Self::append) or [`maintain`](Self::maintain), except when the process or the runtime ends.
///
/// Everything else that a store can do is a part of it: see [`parts`](Self::parts). The conformance suite (feature
/// `conformance`) is this contract as tests.
///
/// `Debug` must not show a connection string.
///
/// # Wrappers
/// A wrapper forwards every method. [`parts`](Self::parts) has a default, and so have methods of the parts: put
/// `#[deny(clippy::missing_trait_methods)]` on each `impl`. `Arc<S>` and `Box<S>` are stores if `S` is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an audit store",
    label = "expected a store, such as `MemoryStore` or `Arc<dyn AuditStore>`",
    note = "to open a store by its URL, use `AuditLog::open(url)` or `store::open(url, options)`"
)]
pub trait AuditStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the store's name, durability and concurrency. They never change.
    fn capabilities(&self) -> Capabilities;

    /// Returns the optional parts of the store: none by default.
    fn parts(&self) -> Parts<'_> {
        Parts::NONE
    }

    /// Appends a batch of events; see the contract above.
    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()>;

    /// Checks that the next append would be accepted and durable. Tries it as far as that leaves no event behind.
    fn health(&self) -> StoreFuture<'_, ()>;

    /// Looks at the store's setup and reports what an operator should know beyond [`health`](Self::health). Changes
    /// nothing.
    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>>;

    /// Does a few milliseconds of the work that appends would otherwise have to do, and returns true if more is left.
    ///
    /// Called while no event is queued, and by a busy log after each [`Capabilities::maintenance_after`] events. An append may
    /// begin while it runs.
    fn maintain(&self) -> StoreFuture<'_, bool>;

    /// Releases every resource. Later appends fail.
    fn close(&self) -> StoreFuture<'_, ()>;
}

macro_rules! forward_to_pointee {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<S: AuditStore + ?Sized> AuditStore for $pointer<S> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            fn parts(&self) -> Parts<'_> {
                (**self).parts()
            }

            fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
                (**self).append(events)
            }

            fn health(&self) -> StoreFuture<'_, ()> {
                (**self).health()
            }

            fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
                (**self).diagnose()
            }

            fn maintain(&self) -> StoreFuture<'_, bool> {
                (**self).maintain()
            }

            fn close(&self) -> StoreFuture<'_, ()> {
                (**self).close()
            }
        }
    };
}

forward_to_pointee!(Arc);
forward_to_pointee!(Box);
