//! The writer: a queue and one worker between requests and store.
//!
//! Requests put their events into a bounded queue and wait. One worker takes whatever waits and
//! appends it as one batch; what arrives meanwhile is the next batch. There is no timer: an idle log writes an event at
//! once, a busy one shares each commit among all who wait. Over a store that serves several appends well at the same
//! time, the next batch begins beside the last as soon as it is worth it. Each request gets its own answer.

mod alarm;
mod audit_log;
mod batches_in_flight;
mod builder;
mod catch_panic;
mod closing_events;
mod deadline;
mod detached_requests;
mod error;
mod failure_log;
mod first_requests;
mod idle_timer;
mod in_flight_requests;
mod limits;
mod log_lines;
mod pending_transactions;
mod queue;
mod stats;
mod store_damage;
mod throttle;
mod transactional;
mod worker;

pub use audit_log::AuditLog;
pub(crate) use audit_log::LogId;
pub use builder::AuditLogBuilder;
pub(crate) use detached_requests::is_cancelled;
pub use error::{CloseError, OpenError, RecordError, RecordErrorKind};
pub(crate) use in_flight_requests::InFlightGuard;
pub use limits::{
    DEFAULT_WRITE_TIMEOUT, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_DETACHED, MAX_QUEUE_BYTES, MAX_QUEUE_EVENTS,
};
pub(crate) use log_lines::log_line;
pub(crate) use queue::IfRefused;
pub use stats::Stats;
