//! The part of a store that closes orphans.

use super::StoreFuture;
use crate::event::AuditEvent;

/// Finds the `started` events that no later event ends and whose process no longer lives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot close the events of dead writers",
    label = "expected a store's own type that implements `OrphanRecovery`",
    note = "a store without locks for its writers leaves `recovery` out of its `Parts`"
)]
pub trait OrphanRecovery: Send + Sync {
    /// For each of them, keeps what `close` makes of it; each is closed once, whoever of several callers comes first.
    /// Says how many were closed.
    ///
    /// An event is never taken for an orphan while the process that wrote it lives, however old it is.
    fn recover<'a>(&'a self, close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync)) -> StoreFuture<'a, u64>;
}
