//! Checking inclusion and consistency proofs.

use super::TreeError;
use crate::seal::Hash;

/// Checks that the leaf with this hash is at `index` in the tree of this size and root (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// Names the reason: the index, the length of the proof, or a root that does not follow from it.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), TreeError> {
    if index >= size {
        return Err(TreeError::NoSuchLeaf { index, size });
    }
    // Up to the subtree that the path shares with the last leaf, each level has a sibling; above, only those to the left.
    let inner = bits(index ^ (size - 1));
    let border = (index >> inner.min(63)).count_ones() * u32::from(inner < 64);
    expect_length(proof, inner + border)?;
    let (below, above) = proof.split_at(inner as usize);
    let hash = chain_inner(*leaf, below, index);
    expect_root(&chain_left(hash, above), root, size)
}

/// Checks that the tree of size `old` is a prefix of that of size `new` (RFC 9162 section 2.1.4.2).
///
/// From size 0 there is nothing to prove, and every proof is refused. For equal sizes the proof is empty.
///
/// # Errors
/// Names the reason: the sizes, the length of the proof, or a root that does not follow from it.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), TreeError> {
    if old > new {
        return Err(TreeError::SizesReversed { old, new });
    }
    if old == 0 {
        return Err(TreeError::NothingToProve);
    }
    if old == new {
        expect_length(proof, 0)?;
        return expect_root(old_root, new_root, new);
    }
    // The proof is an inclusion proof of the last perfect subtree of the old tree.
    let shift = old.trailing_zeros();
    let index = (old - 1) >> shift;
    let inner = bits((old - 1) ^ (new - 1)) - shift;
    let border = (index >> inner.min(63)).count_ones() * u32::from(inner < 64);
    // A power of two is one perfect subtree, whose hash is the old root.
    let has_seed = !old.is_power_of_two();
    expect_length(proof, u32::from(has_seed) + inner + border)?;
    let (seed, path) = match proof.split_first() {
        Some((first, rest)) if has_seed => (*first, rest),
        _ => (*old_root, proof),
    };
    let (below, above) = path.split_at(inner as usize);
    let from_left = below.iter().enumerate().filter(|(level, _)| index >> level & 1 == 1);
    let old_hash = from_left.fold(seed, |hash, (_, left)| Hash::of_node(left, &hash));
    expect_root(&chain_left(old_hash, above), old_root, old)?;
    expect_root(&chain_left(chain_inner(seed, below, index), above), new_root, new)
}

fn chain_inner(seed: Hash, proof: &[Hash], index: u64) -> Hash {
    proof.iter().enumerate().fold(seed, |hash, (level, sibling)| match index >> level & 1 {
        0 => Hash::of_node(&hash, sibling),
        _ => Hash::of_node(sibling, &hash),
    })
}

fn chain_left(seed: Hash, proof: &[Hash]) -> Hash {
    proof.iter().fold(seed, |hash, left| Hash::of_node(left, &hash))
}

/// Returns the number of bits of the number, without leading zeros.
fn bits(number: u64) -> u32 {
    64 - number.leading_zeros()
}

fn expect_length(proof: &[Hash], expected: u32) -> Result<(), TreeError> {
    if proof.len() == expected as usize {
        Ok(())
    } else {
        Err(TreeError::WrongLength { hashes: proof.len(), expected: expected as usize })
    }
}

fn expect_root(computed: &Hash, root: &Hash, size: u64) -> Result<(), TreeError> {
    if computed == root { Ok(()) } else { Err(TreeError::WrongRoot { size, computed: *computed, root: *root }) }
}
