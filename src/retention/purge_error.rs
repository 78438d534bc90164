//! Errors of a purge.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::event::Timestamp;
use crate::store::{StoreError, duration_in_words};

/// A purge that did not delete every event of its plan, or that was not recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum PurgeError {
    /// The cutoff is younger than the floor. Nothing was deleted.
    BelowFloor {
        /// The floor.
        floor: Duration,
        /// The cutoff.
        cutoff: Timestamp,
    },
    /// The store lacks a part that the plan needs, or the events cannot be counted. Nothing was deleted.
    NotPlanned(StoreError),
    /// The log is sealed, and no retention key was given. Nothing was deleted.
    KeyRequired,
    /// A retention key was given, and the log has no checkpoint. Nothing was deleted.
    NotSealed,
    /// The retention key is that of another log. Nothing was deleted.
    WrongKey {
        /// The origin that the key is for.
        key: String,
        /// The origin of the log.
        log: String,
    },
    /// The `started` event could not be written. Nothing was deleted.
    NotStarted(StoreError),
    /// The caller stopped it. The deletion is recorded.
    Interrupted {
        /// The number of deleted events.
        deleted: u64,
    },
    /// A chunk could not be deleted. The deletion of the earlier ones is recorded.
    Failed {
        /// The number of deleted events.
        deleted: u64,
        /// The error of the store.
        source: StoreError,
    },
    /// The `completed` event could not be written; only the `started` event tells of the purge.
    NotRecorded {
        /// The number of deleted events.
        deleted: u64,
        /// The error of the store.
        source: StoreError,
    },
}

impl fmt::Display for PurgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowFloor { floor, cutoff } => write!(
                f,
                "events from before {cutoff} are younger than the retention floor of {}, and nothing was deleted: give an \
                 age of at least that",
                duration_in_words(*floor)
            ),
            Self::KeyRequired => f.write_str(
                "the log is sealed, and nothing was deleted: a purge of it is signed with the retention key, which its writers do \
                 not have. Give it by `--retention-key FILE`, or `Purge::key` (feature `seal`); `tower-audit keygen FILE \
                 --retention --origin NAME` makes one",
            ),
            Self::NotSealed => f.write_str(
                "a retention key was given, and the log has no checkpoint: nothing was deleted. If the log was never sealed, purge it without the \
                 key; otherwise find out where the tables of the seal are",
            ),
            Self::WrongKey { key, log } => write!(
                f,
                "the retention key is that of the log {key:?}, and this is {log:?}; nothing was deleted: give the key of this log"
            ),
            Self::NotPlanned(_) => f.write_str("the events to delete cannot be counted; nothing was deleted"),
            Self::NotStarted(_) => f.write_str("the purge's started event cannot be written; nothing was deleted"),
            Self::Interrupted { deleted } => {
                write!(f, "interrupted; {deleted} events were deleted and the purge is recorded")
            }
            Self::Failed { deleted, .. } => {
                write!(f, "the purge failed; {deleted} events were deleted and the purge is recorded")
            }
            Self::NotRecorded { deleted, .. } => {
                write!(f, "{deleted} events were deleted, but the purge event could not be written")
            }
        }
    }
}

impl Error for PurgeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotPlanned(source)
            | Self::NotStarted(source)
            | Self::Failed { source, .. }
            | Self::NotRecorded { source, .. } => Some(source),
            Self::BelowFloor { .. }
            | Self::Interrupted { .. }
            | Self::KeyRequired
            | Self::NotSealed
            | Self::WrongKey { .. } => None,
        }
    }
}
