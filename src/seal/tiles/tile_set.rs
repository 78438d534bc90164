//! Tiles in memory.

use std::collections::BTreeMap;

use super::tile::{Tile, perfect_root};
use crate::seal::{Hash, HashSource, Node, TreeError};

/// Tiles in memory, as the source of the hashes in them.
///
/// A proof is made of the tiles of one tree: fetch those that [`TileId::of_node`](crate::seal::TileId::of_node) names for
/// [`inclusion_nodes`](crate::seal::inclusion_nodes), then call [`inclusion_proof`](crate::seal::inclusion_proof).
#[derive(Debug, Clone, Default)]
pub struct TileSet {
    tiles: BTreeMap<(u8, u64), Tile>,
}

impl TileSet {
    /// No tiles.
    pub const fn new() -> Self {
        Self { tiles: BTreeMap::new() }
    }

    /// Adds a tile. Of two of the same place the wider one stays.
    pub fn insert(&mut self, tile: Tile) {
        let id = tile.id();
        match self.tiles.get_mut(&(id.level, id.index)) {
            Some(known) if known.id().width >= id.width => {}
            Some(known) => *known = tile,
            None => {
                self.tiles.insert((id.level, id.index), tile);
            }
        }
    }
}

impl HashSource for TileSet {
    fn hash(&self, node: Node) -> Result<Hash, TreeError> {
        let (level, height) = (node.level / 8, node.level % 8);
        let first = node.index << height;
        let (index, offset) = (first / 256, (first % 256) as usize);
        let end = offset + (1 << height);
        let hashes = self.tiles.get(&(level, index)).and_then(|tile| tile.hashes().get(offset..end));
        hashes.map(perfect_root).ok_or(TreeError::MissingHash(node))
    }
}

impl Extend<Tile> for TileSet {
    fn extend<I: IntoIterator<Item = Tile>>(&mut self, tiles: I) {
        tiles.into_iter().for_each(|tile| self.insert(tile));
    }
}

impl FromIterator<Tile> for TileSet {
    fn from_iter<I: IntoIterator<Item = Tile>>(tiles: I) -> Self {
        let mut set = Self::new();
        set.extend(tiles);
        set
    }
}
