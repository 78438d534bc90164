//! Hashes that are stored elsewhere.

use std::ops::Range;

use super::node::nodes;
use super::{Node, TreeError};
use crate::seal::Hash;

/// Gives the hashes of perfect subtrees.
pub trait HashSource {
    /// Returns the hash of this subtree.
    ///
    /// # Errors
    /// The source does not have it.
    fn hash(&self, node: Node) -> Result<Hash, TreeError>;
}

/// Returns the hash over these leaves, which are one or more: `MTH` of RFC 9162.
pub(super) fn hash_of<S: HashSource + ?Sized>(leaves: Range<u64>, source: &S) -> Result<Hash, TreeError> {
    let nodes: Vec<Node> = nodes(leaves).collect();
    let mut root = None;
    for node in nodes.into_iter().rev() {
        let left = source.hash(node)?;
        root = Some(match root {
            None => left,
            Some(right) => Hash::of_node(&left, &right),
        });
    }
    Ok(root.unwrap_or_else(Hash::of_empty_tree))
}

/// Returns the root of the tree of this size.
///
/// # Errors
/// The source lacks a hash.
pub fn root<S: HashSource + ?Sized>(size: u64, source: &S) -> Result<Hash, TreeError> {
    hash_of(0..size, source)
}

/// Returns the subtrees that [`root`] asks its source for.
pub fn root_nodes(size: u64) -> Vec<Node> {
    nodes(0..size).collect()
}
