//! The leaf that a stored event and its stored seed make.

use crate::event::AuditEvent;
use crate::seal::{Hash, Leaf, Seed, SurvivingSalts};
use crate::store::StoredSeed;

/// Returns the hash of the leaf. None if the seed is gone, is none, or is for another number of cells.
pub(super) fn leaf_hash(event: &AuditEvent, seed: &StoredSeed) -> Option<Hash> {
    match seed {
        StoredSeed::Whole(seed) => Some(Leaf::of(event, &Seed::from_bytes(*seed)).hash()),
        StoredSeed::Other(_) => Leaf::with_surviving(event, &surviving(seed)?).ok().map(|leaf| leaf.hash()),
        StoredSeed::Gone => None,
    }
}

/// Returns the salts that an erasure has left in place of a seed.
pub(super) fn surviving(seed: &StoredSeed) -> Option<SurvivingSalts> {
    match seed {
        StoredSeed::Other(bytes) => SurvivingSalts::from_bytes(bytes).ok(),
        StoredSeed::Whole(_) | StoredSeed::Gone => None,
    }
}
