//! Subtrees of the Merkle tree.

use std::ops::Range;

/// A perfect subtree: the leaves from `index << level` to `(index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a coordinate")]
pub struct Node {
    /// The height above the leaves.
    pub level: u8,
    /// The number of the subtree among those of its height, from 0.
    pub index: u64,
}

/// Returns the perfect subtrees that make up these leaves, the largest first. The start is a multiple of the power of two
/// that is not below the length; ranges in proofs and whole trees are.
pub(super) fn nodes(leaves: Range<u64>) -> impl Iterator<Item = Node> {
    let length = leaves.end.saturating_sub(leaves.start);
    let mut start = leaves.start;
    (0..64u8).rev().filter(move |level| length >> level & 1 == 1).map(move |level| {
        let node = Node { level, index: start >> level };
        start += 1 << level;
        node
    })
}
