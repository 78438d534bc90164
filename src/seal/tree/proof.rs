//! Making inclusion and consistency proofs.

use std::ops::Range;

use super::hash_source::hash_of;
use super::node::nodes;
use super::{HashSource, Node, TreeError};
use crate::seal::Hash;

/// Returns the proof that the leaf at `index` is in the tree of this size (RFC 9162 section 2.1.3.1), the leaf's sibling first.
///
/// # Errors
/// The index is not below the size, or the source lacks a hash.
pub fn inclusion_proof<S: HashSource + ?Sized>(index: u64, size: u64, source: &S) -> Result<Vec<Hash>, TreeError> {
    hashes_of(inclusion_ranges(index, size)?, source)
}

/// Returns the subtrees that [`inclusion_proof`] asks its source for.
///
/// # Errors
/// The index is not below the size.
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<Node>, TreeError> {
    Ok(inclusion_ranges(index, size)?.into_iter().flat_map(nodes).collect())
}

/// Returns the proof that the tree of size `old` is a prefix of that of size `new` (RFC 9162 section 2.1.4.1). It is empty for
/// equal sizes, and from size 0.
///
/// # Errors
/// `old` is greater than `new`, or the source lacks a hash.
pub fn consistency_proof<S: HashSource + ?Sized>(old: u64, new: u64, source: &S) -> Result<Vec<Hash>, TreeError> {
    hashes_of(consistency_ranges(old, new)?, source)
}

/// Returns the subtrees that [`consistency_proof`] asks its source for.
///
/// # Errors
/// `old` is greater than `new`.
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<Node>, TreeError> {
    Ok(consistency_ranges(old, new)?.into_iter().flat_map(nodes).collect())
}

fn hashes_of<S: HashSource + ?Sized>(ranges: Vec<Range<u64>>, source: &S) -> Result<Vec<Hash>, TreeError> {
    ranges.into_iter().map(|leaves| hash_of(leaves, source)).collect()
}

/// The leaves under each hash of the proof, from the leaf upwards.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, TreeError> {
    if index >= size {
        return Err(TreeError::NoSuchLeaf { index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range<u64>>, TreeError> {
    if old > new {
        return Err(TreeError::SizesReversed { old, new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut ranges = Vec::new();
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    // A subtree from the first leaf on is the old tree itself, and its root is known.
    if start > 0 {
        ranges.push(start..end);
    }
    ranges.reverse();
    Ok(ranges)
}

/// Returns the greatest power of two below `length`, which is 2 or more.
fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}
