//! Keeping an event in a transaction of the app's own: the effect and its record are committed together, or neither is.

use super::{AppConnection, StoreFuture};
use crate::event::{AuditEvent, EventId};

/// Keeps events in transactions of the app's own.
///
/// # Contract
/// - What is kept in a transaction shares its fate: it is there when the transaction is committed, as durable as an
///   append is, and it is not there otherwise.
/// - The id is the key, as for an append. While a transaction that holds an event is open, an append of the same event
///   waits for its end, and is decided by it.
/// - Whatever is not possible is an error before anything is written, and leaves the transaction as it was.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot insert events in transactions",
    label = "expected a store's own type that implements `Transactional`",
    note = "a store without transactions of the app leaves `transactional` out of its `Parts`"
)]
pub trait Transactional: Send + Sync {
    /// Sees whether the connection is in a transaction of the database that holds the log, and whether its commit will
    /// be durable; makes it so, where a transaction can be told. Keeps nothing.
    fn prepare<'a>(&'a self, connection: AppConnection<'a>) -> StoreFuture<'a, TransactionId>;

    /// Keeps the event in the transaction, which was [prepared](Self::prepare). False: an event with this id is kept
    /// already. `is_new`: nobody can have kept it yet.
    fn insert<'a>(
        &'a self,
        connection: AppConnection<'a>,
        event: &'a AuditEvent,
        is_new: bool,
    ) -> StoreFuture<'a, bool>;

    /// Returns the status of an event that was inserted in this transaction. Call it outside of the transaction.
    fn status(&self, event: EventId, transaction: TransactionId) -> StoreFuture<'_, TransactionStatus>;
}

/// By what a store knows a transaction again. What the number means is the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores make it")]
pub struct TransactionId(pub u64);

/// The state of an event that was inserted in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a log handles every variant")]
pub enum TransactionStatus {
    /// The transaction was committed.
    Committed,
    /// It is not there. If the transaction is not over after all, an append of the event waits for its end.
    Absent,
    /// The transaction is not over.
    InProgress,
}
