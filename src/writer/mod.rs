//! What stands between the requests and the store: one writer per log.
//!
//! Requests put their events into a bounded queue and wait. One worker takes whatever waits and
//! appends it as one batch; what arrives meanwhile is the next batch. There is no timer: an idle log writes an event at
//! once, a busy one shares each commit among all who wait. Over a store that serves several appends well at the same
//! time, the next batch begins beside the last as soon as it is worth it. Each request gets its own answer.

mod alarm;
mod builder;
mod damage;
mod detached;
mod endings;
mod error;
mod first_requests;
mod in_flight;
mod in_transaction;
mod limit;
mod log;
mod queue;
mod quiet;
mod refusals;
mod shield;
mod stats;
mod throttle;
mod watch;
mod worker;
mod writing;

pub use builder::{
    AuditLogBuilder, DEFAULT_WRITE_DEADLINE, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_DETACHED, MAX_QUEUE_BYTES,
    MAX_QUEUE_EVENTS,
};
pub(crate) use detached::is_abandoned;
pub use error::{CloseError, OpenError, RecordError, RecordErrorKind};
pub(crate) use in_flight::InFlightGuard;
pub use log::AuditLog;
pub(crate) use queue::IfRefused;
pub(crate) use shield::shielded;
pub use stats::Stats;
