//! The writer: a queue and one worker between requests and store.
//!
//! Requests put their events into a bounded queue and wait. One worker takes all queued events and appends them as one
//! batch; those that arrive meanwhile are the next batch. There is no timer: an idle log writes an event at once, a busy
//! one shares each commit among many requests. Over a store that serves concurrent appends well, further batches begin
//! beside the first when enough events wait. Each request gets its own answer.
//!
//! An event goes down this table, and its answer up:
//!
//! | file | holds |
//! |---|---|
//! | `audit_log.rs`, `builder.rs` | the handle of the app |
//! | `event_write.rs`, `deadline.rs`, `timer_thread.rs` | the wait of a caller |
//! | `queue.rs`, `queue_waiters.rs`, `waiter.rs`, `batch.rs` | the queue, and the line of those who wait for room |
//! | `owed_queue.rs`, `owed_events.rs`, `started_ends.rs` | the events that the log owes |
//! | `worker.rs`, `batches_in_flight.rs`, `append_slots.rs` | the worker's loop |
//! | `batch_write.rs`, `batch_answers.rs` | the tries of one batch, and its answers |
//! | `flush.rs`, `health_check.rs` | the questions of the app: all written? would the next one be? |
//! | `detached_requests.rs`, `in_flight_requests.rs` | requests under way |
//! | `stats.rs`, `metrics/` | the counters, and the app's own metrics |
//! | `transactional.rs`, `pending_transactions.rs` | events in transactions of the app |

mod append_slots;
mod audit_log;
mod batch;
mod batch_answers;
mod batch_write;
mod batches_in_flight;
mod builder;
mod catch_panic;
mod deadline;
mod detached_requests;
mod error;
mod event_write;
mod failure_log;
mod flush;
mod health_check;
mod idle_timer;
mod in_flight_requests;
mod limits;
mod metrics;
mod missing_actor_warning;
mod owed_events;
mod owed_queue;
mod pending_transactions;
mod queue;
mod queue_waiters;
mod started_ends;
mod stats;
mod store_damage;
mod subscription;
mod timer_thread;
mod transactional;
mod waiter;
mod worker;

pub use audit_log::AuditLog;
pub(crate) use audit_log::LogId;
pub use builder::AuditLogBuilder;
pub use error::{CloseError, OpenError, RecordError, RecordErrorKind};
pub(crate) use in_flight_requests::InFlightGuard;
pub use limits::{
    DEFAULT_BATCH_EVENTS, DEFAULT_DETACHED, DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_EVENTS, DEFAULT_WRITE_TIMEOUT,
    MAX_BATCH_BYTES, MAX_SUBSCRIPTION_EVENTS,
};
pub use stats::Stats;
pub use subscription::{Delivery, Subscription};
pub(crate) use waiter::IfRefused;
