//! The state of a spool, for health checks and monitoring.

use crate::event::Timestamp;

/// The state of a [`SpoolStore`](super::SpoolStore).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolStatus {
    /// The number of events that this process has acknowledged or adopted and that the target has not.
    pub events: u64,
    /// The bytes of these events in the spool.
    pub bytes: u64,
    /// The time at which the oldest of them was acknowledged.
    pub oldest: Option<Timestamp>,
    /// The number of events that this process has set aside since it was opened, because the target refused them for good.
    pub dead_letters: u64,
    /// The number of folders of dead processes that this one ships.
    pub adopted: usize,
    /// The target's newest error, until it acknowledges again. It has no connection string in it.
    pub target_error: Option<String>,
    /// The time of the last acknowledgement of the target.
    pub shipped_at: Option<Timestamp>,
}
