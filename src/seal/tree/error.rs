//! Errors of the Merkle tree.

use std::fmt;

use super::Node;
use crate::seal::Hash;

/// A proof that does not hold, or one that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// The tree is too small for this leaf.
    NoSuchLeaf {
        /// The index of the leaf, from 0.
        index: u64,
        /// The number of leaves.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    SizesReversed {
        /// The number of leaves of the older tree.
        old: u64,
        /// The number of leaves of the newer tree.
        new: u64,
    },
    /// The older tree is empty: a prefix of any other.
    NothingToProve,
    /// The proof has too few or too many hashes for its sizes.
    WrongLength {
        /// The number of hashes in the proof.
        hashes: usize,
        /// The number that these sizes need.
        expected: usize,
    },
    /// The proof leads to another root.
    WrongRoot {
        /// The number of leaves of the tree.
        size: u64,
        /// The root that follows from the proof.
        computed: Hash,
        /// The root of the tree.
        root: Hash,
    },
    /// The source of the hashes does not have that of this subtree.
    MissingHash(Node),
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchLeaf { index, size } => write!(f, "a tree of {size} leaves has no leaf {index}"),
            Self::SizesReversed { old, new } => write!(f, "the older tree has {old} leaves, the newer one only {new}"),
            Self::NothingToProve => f.write_str("the empty tree is a prefix of every tree: expected no proof"),
            Self::WrongLength { hashes, expected } => {
                write!(f, "the proof has {hashes} hashes: expected {expected} for these sizes")
            }
            Self::WrongRoot { size, computed, root } => {
                write!(f, "the proof leads to the root {computed}, and the root at size {size} is {root}")
            }
            Self::MissingHash(Node { level, index }) => {
                write!(f, "the hash of the subtree {index} of height {level} is missing")
            }
        }
    }
}

impl std::error::Error for TreeError {}
