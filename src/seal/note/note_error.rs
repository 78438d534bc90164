//! Errors of signed notes.

use std::fmt;

use crate::seal::SealError;

/// A note that cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteError {
    /// The text breaks the format.
    Malformed(SealError),
    /// A signature of a known key does not fit the text: one of them was changed.
    BadSignature {
        /// The name of the key.
        name: String,
        /// The id of the key.
        key_id: u32,
    },
    /// Too few witnesses have cosigned the checkpoint.
    QuorumNotMet {
        /// The name of the witness or the group that the policy requires.
        quorum: String,
        /// The names of the witnesses and groups that are met.
        met: Vec<String>,
    },
    /// No signature is by a known key.
    NoKnownSignature {
        /// The names and ids of the keys that did sign.
        signed_by: Vec<(String, u32)>,
    },
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::BadSignature { name, key_id } => {
                write!(f, "the signature of {name}+{key_id:08x} does not fit the text: one of them was changed")
            }
            Self::QuorumNotMet { quorum, met } => {
                let met = if met.is_empty() { "no witness".to_owned() } else { met.join(", ") };
                write!(f, "the quorum {quorum:?} of the policy is not met: cosigned by {met}")
            }
            Self::NoKnownSignature { signed_by } => {
                f.write_str("signed by none of the given keys, but by ")?;
                for (number, (name, id)) in signed_by.iter().enumerate() {
                    write!(f, "{}{name}+{id:08x}", if number > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for NoteError {}

impl From<SealError> for NoteError {
    fn from(error: SealError) -> Self {
        Self::Malformed(error)
    }
}
