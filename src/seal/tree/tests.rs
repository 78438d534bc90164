use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::seal::{Hash, TileId, TileSet, TreeEdge};

fn entry(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat((number % 3) as usize)
}

/// All the tiles of a tree.
fn tiles(size: u64) -> (TreeEdge, TileSet) {
    let mut edge = TreeEdge::new();
    (0..size).for_each(|number| edge.push(Hash::of_leaf(&entry(number))));
    let set = edge.take_tiles().into_iter().collect();
    (edge, set)
}

/// Another implementation, which holds the whole tree.
fn oracle(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|number| tree.push(entry(number)));
    tree
}

fn flat(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn roots_and_proofs_are_those_of_ct_merkle(new in 1..700u64, old in any::<prop::sample::Index>(), index in any::<prop::sample::Index>()) {
        let (index, old) = (index.index(new as usize) as u64, 1 + old.index(new as usize) as u64);
        let ((edge, tiles), oracle) = (tiles(new), oracle(new));
        let new_root = edge.root();
        let their_root = oracle.root();
        prop_assert_eq!(new_root.as_bytes().as_slice(), their_root.as_bytes().as_slice());
        prop_assert_eq!(root(new, &tiles).unwrap(), new_root);

        let inclusion = inclusion_proof(index, new, &tiles).unwrap();
        let theirs = oracle.prove_inclusion(index as usize);
        prop_assert_eq!(flat(&inclusion), theirs.as_bytes());
        let leaf = Hash::of_leaf(&entry(index));
        prop_assert_eq!(verify_inclusion(&leaf, index, new, &inclusion, &new_root), Ok(()));
        for (leaf, index, size) in
            [(new_root, index, new), (leaf, index ^ 1, new), (leaf, index + 1, new), (leaf, index, new * 2 + 1)]
        {
            prop_assert!(verify_inclusion(&leaf, index, size, &inclusion, &new_root).is_err());
        }

        // The tiles of the new tree have every old one in them.
        let old_root = root(old, &tiles).unwrap();
        let consistency = consistency_proof(old, new, &tiles).unwrap();
        let theirs = oracle.prove_consistency((new - old) as usize);
        prop_assert_eq!(flat(&consistency), theirs.as_bytes());
        prop_assert_eq!(verify_consistency(old, &old_root, new, &new_root, &consistency), Ok(()));
        if old < new {
            for (old, old_root, new_root) in
                [(old, new_root, new_root), (old, old_root, old_root), (old - 1, old_root, new_root), (old + 1, old_root, new_root)]
            {
                prop_assert!(verify_consistency(old, &old_root, new, &new_root, &consistency).is_err(), "{old} {new}");
            }
        }
    }

    #[test]
    fn an_edge_that_is_taken_up_again_goes_on_as_before(first in 0..600u64, more in 0..600u64) {
        let mut known = HashMap::new();
        let mut edge = TreeEdge::new();
        for part in [0..first, first..first + more] {
            part.for_each(|number| edge.push(Hash::of_leaf(&entry(number))));
            for tile in edge.take_tiles() {
                prop_assert!(known.insert(tile.id(), tile).is_none(), "a tile came twice");
            }
            let partial = TileId::partial_tiles(edge.size()).map(|id| known[&id].clone());
            edge = TreeEdge::from_partial_tiles(edge.size(), partial).unwrap();
        }
        prop_assert_eq!(edge.root(), tiles(first + more).0.root());
    }

    /// Arguments of a verifier may be anything.
    #[test]
    fn no_proof_makes_a_verifier_panic(
        (a, b) in (any::<u64>(), any::<u64>()), small in 0..20u64, count in 0..70usize, shift in 0..64u32,
    ) {
        let root = Hash::of_empty_tree();
        for (a, b) in [(a, b), (a >> shift, b >> shift), (small, b), (a, u64::MAX), (u64::MAX - 1, u64::MAX), (b, b)] {
            let proof = vec![root; count];
            prop_assert!(verify_inclusion(&root, a, b, &proof, &root).is_err() || (a, b, count) == (0, 1, 0));
            let is_same = a == b && a > 0 && count == 0;
            prop_assert_eq!(verify_consistency(a, &root, b, &root, &proof).is_ok(), is_same);
        }
    }
}

/// Three levels of tiles, and the proofs that go through all of them.
#[test]
fn a_tree_of_many_tiles_proves_its_leaves() {
    let size = 66_000;
    let (edge, tiles) = tiles(size);
    assert_eq!(root(size, &tiles).unwrap(), edge.root());
    for index in [0, 255, 256, 65_535, 65_536, size - 1] {
        let proof = inclusion_proof(index, size, &tiles).unwrap();
        verify_inclusion(&Hash::of_leaf(&entry(index)), index, size, &proof, &edge.root()).unwrap();
        let named: Vec<_> =
            inclusion_nodes(index, size).unwrap().iter().map(|node| TileId::of_node(*node, size)).collect();
        assert!(named.iter().all(Option::is_some), "{named:?}");
    }
    for old in [1, 256, 40_000, 65_536, size] {
        let proof = consistency_proof(old, size, &tiles).unwrap();
        verify_consistency(old, &root(old, &tiles).unwrap(), size, &edge.root(), &proof).unwrap();
    }
    assert_eq!(inclusion_proof(0, size + 1, &tiles), Err(TreeError::MissingHash(Node { level: 0, index: size })));
}

#[test]
fn the_roots_of_the_reference_tree_are_known() {
    // The leaf inputs and roots of certificate-transparency-go's reference tree of 1 to 8 leaves.
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut edge = TreeEdge::new();
    inputs.iter().for_each(|input| edge.push(Hash::of_leaf(input)));
    assert_eq!(edge.root().to_string(), "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=");
}

/// 98 inclusion and 98 consistency cases of transparency-dev/merkle: 6 of each hold.
#[test]
fn the_cases_of_transparency_dev_are_judged_as_there() {
    // An empty hash is none of ours, and equal to none.
    let mut hashes = HashMap::new();
    let empty = [Hash::from_bytes([0; 32]), Hash::from_bytes([1; 32])];
    let mut counts = HashMap::new();
    for line in include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(' ').collect();
        let [kind, name, expected, a, b, first, second, proof @ ..] = &cells[..] else {
            let bytes: Vec<u8> =
                (0..32).map(|at| u8::from_str_radix(&cells[1][2 * at..2 * at + 2], 16).unwrap()).collect();
            hashes.insert(cells[0], Hash::from_bytes(bytes.try_into().unwrap()));
            continue;
        };
        let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
        let [first, second] =
            [(first, empty[0]), (second, empty[1])].map(|(name, empty)| *hashes.get(name).unwrap_or(&empty));
        let proof: Vec<Hash> = proof.iter().map(|name| *hashes.get(name).unwrap_or(&empty[0])).collect();
        let result = match *kind {
            "inclusion" => verify_inclusion(&first, a, b, &proof, &second),
            _ => verify_consistency(a, &first, b, &second, &proof),
        };
        assert_eq!(result.is_ok(), *expected == "good", "{kind} {name}: {result:?}");
        *counts.entry((*kind, result.is_ok())).or_insert(0) += 1;
    }
    let expected = [
        (("inclusion", true), 6),
        (("inclusion", false), 92),
        (("consistency", true), 6),
        (("consistency", false), 92),
    ];
    assert_eq!(counts, HashMap::from(expected));
}
