//! The bounds of a log: sizes, counts and timeouts.

use std::time::Duration;

/// The default time that a request waits for all of its events together.
pub const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of queued events.
pub const DEFAULT_QUEUE_EVENTS: usize = 16_384;
/// The maximum memory of queued events: 64 MiB.
pub const DEFAULT_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// The maximum number of events in a batch.
pub const DEFAULT_BATCH_EVENTS: usize = 1024;
/// The maximum memory of the events of one batch: 8 MiB.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// The maximum number of audited requests that run on after their client has gone.
pub const DEFAULT_DETACHED: usize = 16_384;
/// The maximum number of events that a subscriber may be behind.
pub const MAX_SUBSCRIPTION_EVENTS: usize = 1024;

/// The default time that [`AuditLog::close`](super::AuditLog::close) waits for requests.
pub(super) const DEFAULT_CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest timeout; longer ones are cut to it. No process lives for a year.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The time after its deadline at which a caller stops waiting for the worker's answer.
pub(super) const GRACE: Duration = Duration::from_millis(50);
/// The maximum number of concurrent health checks.
pub(super) const MAX_HEALTH_CHECKS: usize = 2;
/// The maximum number of transactions that the log waits for after their request was answered.
pub(super) const MAX_PENDING_TRANSACTIONS: usize = 1024;
/// The maximum number of events that the log owes: their clients have gone.
pub(super) const MAX_OWED_EVENTS: usize = 4096;
/// The maximum memory of events that the log owes: 64 MiB.
pub(super) const MAX_OWED_BYTES: usize = 64 * 1024 * 1024;
/// The maximum number of batches that wait for their next try without counting as under way.
pub(super) const MAX_PAUSING_BATCHES: usize = 4;
/// The maximum number of events whose callers were refused and have not read the answer.
pub(super) const MAX_UNHEARD_EVENTS: usize = DEFAULT_QUEUE_EVENTS;
/// The maximum memory of events whose callers were refused and have not read the answer: 64 MiB.
pub(super) const MAX_UNHEARD_BYTES: usize = DEFAULT_QUEUE_BYTES;
