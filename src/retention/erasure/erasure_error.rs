//! Errors of an erasure.

use std::error::Error;
use std::fmt;

use crate::store::StoreError;

/// An erasure that did not blank every value, or that was not recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErasureError {
    /// The name of the person, or the pseudonym, is none. Nothing was erased.
    Name(String),
    /// The store lacks a part that an erasure needs, or the events cannot be read. Nothing was erased.
    NotPlanned(StoreError),
    /// The log is sealed, and no retention key was given. Nothing was erased.
    KeyRequired,
    /// A retention key was given, and the log has no checkpoint. Nothing was erased.
    NotSealed,
    /// The retention key is that of another log. Nothing was erased.
    WrongKey {
        /// The origin that the key is for.
        key: String,
        /// The origin of the log.
        log: String,
    },
    /// The `started` event could not be written. Nothing was erased.
    NotStarted(StoreError),
    /// The caller stopped it. The erasure is recorded.
    Interrupted {
        /// The number of events of which values were blanked.
        events: u64,
    },
    /// A chunk could not be erased. The erasure of the earlier ones is recorded.
    Failed {
        /// The number of events of which values were blanked.
        events: u64,
        /// The error of the store.
        source: StoreError,
    },
    /// The `completed` event could not be written; only the `started` event tells of the erasure.
    NotRecorded {
        /// The number of events of which values were blanked.
        events: u64,
        /// The error of the store.
        source: StoreError,
    },
}

impl fmt::Display for ErasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(reason) => f.write_str(reason),
            Self::NotPlanned(_) => f.write_str("the events to erase cannot be read; nothing was erased"),
            Self::KeyRequired => f.write_str(
                "the log is sealed, and nothing was erased: an erasure is signed with the retention key, which its writers do not \
                 have. Give it by `--retention-key FILE`, or `Erasure::key` (feature `seal`); `tower-audit keygen FILE --retention \
                 --origin NAME` makes one",
            ),
            Self::NotSealed => f.write_str(
                "a retention key was given, and the log has no checkpoint: nothing was erased. If the log was never sealed, erase without \
                 the key; otherwise find out where the tables of the seal are",
            ),
            Self::WrongKey { key, log } => write!(
                f,
                "the retention key is that of the log {key:?}, and this is {log:?}; nothing was erased: give the key of this log"
            ),
            Self::NotStarted(_) => f.write_str("the erasure's started event cannot be written; nothing was erased"),
            Self::Interrupted { events } => {
                write!(f, "interrupted; values of {events} events were erased and the erasure is recorded: run it again for the others")
            }
            Self::Failed { events, .. } => {
                write!(f, "the erasure failed; values of {events} events were erased and the erasure is recorded: run it again for the others")
            }
            Self::NotRecorded { events, .. } => {
                write!(f, "values of {events} events were erased, but the erase event could not be written")
            }
        }
    }
}

impl Error for ErasureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotPlanned(source)
            | Self::NotStarted(source)
            | Self::Failed { source, .. }
            | Self::NotRecorded { source, .. } => Some(source),
            Self::Name(_) | Self::KeyRequired | Self::NotSealed | Self::WrongKey { .. } | Self::Interrupted { .. } => {
                None
            }
        }
    }
}
