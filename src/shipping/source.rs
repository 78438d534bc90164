//! The sources that a shipper takes events from.

use std::fmt;

use crate::event::{AuditEvent, Timestamp};
use crate::store::StoreFuture;

/// A source of events, such as a store or a stream.
///
/// # Contract
/// - Events come in the order of the source, each at least once, until they are acknowledged.
/// - Nothing is forgotten before [`acknowledge`](Self::acknowledge): a source that is opened again begins behind the last
///   acknowledged event at the latest.
pub trait ShipSource: fmt::Debug + Send + 'static {
    /// Returns the next events, about `at_most`; none if there is none now.
    ///
    /// # Cancel safety
    /// A dropped call skips no event: the next one returns it.
    fn next(&mut self, at_most: usize) -> StoreFuture<'_, Vec<AuditEvent>>;

    /// Takes note that every event that [`next`](Self::next) has returned is durable elsewhere.
    fn acknowledge(&mut self) -> StoreFuture<'_, ()>;

    /// Returns the time up to which the source is acknowledged, as far as it knows. The difference to now is the lag.
    fn acknowledged_until(&self) -> Option<Timestamp>;
}
