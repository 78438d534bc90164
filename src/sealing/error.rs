//! Errors of a sealer.

use std::fmt;

use super::SealKeyError;
use crate::store::StoreError;

/// An error of a [`Sealer`](super::Sealer).
#[derive(Debug)]
#[non_exhaustive]
pub enum SealerError {
    /// The store failed. A later step may succeed.
    Store(StoreError),
    /// The file beside the key cannot be written. A later step may succeed.
    Key(SealKeyError),
    /// The tree in the store is not the one that the key has signed. The sealer signs nothing.
    Refused(Refusal),
}

/// A reason to sign nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The store keeps no seal.
    Unsupported,
    /// The tree in the store is smaller than the one that was signed: the store was restored from a backup, or its tail was
    /// cut.
    RolledBack {
        /// The number of leaves that the key has signed.
        signed: u64,
        /// The number of leaves in the store.
        stored: u64,
    },
    /// The log is to go on from an older copy of its own, and is as large as the tree that the key has signed.
    NotBehind {
        /// The number of leaves that the key has signed.
        signed: u64,
        /// The number of leaves in the store.
        stored: u64,
    },
    /// The tree in the store has another history.
    Forked {
        /// The number of leaves that the key has signed.
        signed: u64,
    },
    /// The newest checkpoint in the store is not of this key.
    WrongKey(String),
    /// Leaves or nodes of the tree are missing or were changed.
    Damaged(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("the store keeps no seal"),
            Self::RolledBack { signed, stored } => write!(
                f,
                "the key has signed a tree of {signed} leaves, and the store has {stored}: it was restored from a backup, or its \
                 end was cut off; `tower-audit verify --against` with the file beside the key tells more. To go on from here, \
                 see docs/seal.md, \"After a restore\""
            ),
            Self::NotBehind { signed, stored } => write!(
                f,
                "the key has signed a tree of {signed} leaves, and the store has {stored}: nothing was lost, so start the sealer again, or \
                 rotate its key without `--restored`"
            ),
            Self::Forked { signed } => write!(
                f,
                "the first {signed} leaves in the store are not those that the key has signed: `tower-audit verify --against` \
                 with the file beside the key tells more"
            ),
            Self::WrongKey(reason) => write!(f, "the newest checkpoint in the store is not of this key: {reason}"),
            Self::Damaged(reason) => {
                write!(f, "the tree in the store is damaged: {reason}; `tower-audit verify` tells more")
            }
        }
    }
}

impl fmt::Display for SealerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Refused(refusal) => write!(f, "the sealer signs nothing: {refusal}"),
        }
    }
}

impl std::error::Error for SealerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Key(error) => error.source(),
            Self::Refused(_) => None,
        }
    }
}

impl From<StoreError> for SealerError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for SealerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
