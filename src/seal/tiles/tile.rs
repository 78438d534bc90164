//! A tile: consecutive hashes of one level.

use super::TileId;
use crate::seal::{Hash, SealError};

/// Up to 256 consecutive hashes of one level of the tree. Its bytes are the hashes, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    id: TileId,
    hashes: Vec<Hash>,
}

impl Tile {
    /// A tile of these hashes, which are not more than 256.
    pub(super) fn new(level: u8, index: u64, hashes: Vec<Hash>) -> Self {
        Self { id: TileId { level, index, width: hashes.len() as u16 }, hashes }
    }

    /// Reads a tile.
    ///
    /// # Errors
    /// The length is not that of a tile of this width.
    pub fn from_bytes(id: TileId, bytes: &[u8]) -> Result<Self, SealError> {
        match Hash::split(bytes) {
            Some(hashes) if hashes.len() == usize::from(id.width) => Ok(Self { id, hashes: hashes.collect() }),
            _ => {
                let expected = id.bytes();
                Err(SealError::new(format!("{} has {} bytes: expected {expected}", id.path(), bytes.len())))
            }
        }
    }

    /// Returns the place of the tile, and its width.
    pub fn id(&self) -> TileId {
        self.id
    }

    /// Returns the hashes, first to last.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Returns the bytes that are stored and served: 32 a hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }
}

/// Returns the root over these hashes, whose number is a power of two.
pub(super) fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut layer = hashes.to_vec();
    while layer.len() > 1 {
        layer = layer.chunks(2).map(|pair| Hash::of_node(&pair[0], &pair[pair.len() - 1])).collect();
    }
    layer.first().copied().unwrap_or_else(Hash::of_empty_tree)
}
