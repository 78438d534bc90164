//! The growing right edge of the tree.

use super::TileId;
use super::tile::{Tile, perfect_root};
use crate::seal::{Hash, Node, SealError};

/// The right edge of a tree: of each level, the hashes that no full tile has yet. Leaves are appended to it.
///
/// At most 8 × 255 hashes, whatever the size of the tree, beside the tiles and nodes that were not taken yet.
///
/// ```
/// use tower_audit::seal::{Hash, TreeEdge};
///
/// let mut edge = TreeEdge::new();
/// for number in 0..300u32 {
///     edge.push(Hash::of_leaf(&number.to_be_bytes()));
/// }
/// let tiles = edge.take_tiles();
/// let paths: Vec<_> = tiles.iter().map(|tile| tile.id().path()).collect();
/// assert_eq!(paths, ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"]);
/// let again = TreeEdge::from_partial_tiles(300, tiles.into_iter().filter(|tile| tile.id().width < 256))?;
/// assert_eq!(again.root(), edge.root());
/// # Ok::<(), tower_audit::seal::SealError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct TreeEdge {
    size: u64,
    /// The size when the tiles were taken last.
    taken: u64,
    levels: Vec<Vec<Hash>>,
    full: Vec<Tile>,
    nodes: Vec<(Node, Hash)>,
}

impl TreeEdge {
    /// The edge of the empty tree.
    pub const fn new() -> Self {
        Self { size: 0, taken: 0, levels: Vec::new(), full: Vec::new(), nodes: Vec::new() }
    }

    /// The edge of a tree of this size, from its partial tiles: those of [`TileId::partial_tiles`].
    ///
    /// # Errors
    /// Names a tile that is missing, or that this tree does not have.
    pub fn from_partial_tiles(size: u64, tiles: impl IntoIterator<Item = Tile>) -> Result<Self, SealError> {
        let mut edge = Self { size, taken: size, ..Self::new() };
        let mut expected: Vec<TileId> = TileId::partial_tiles(size).collect();
        edge.levels = vec![Vec::new(); expected.last().map_or(0, |tile| usize::from(tile.level) + 1)];
        for tile in tiles {
            let Some(at) = expected.iter().position(|expected| *expected == tile.id()) else {
                return Err(SealError::new(format!("a tree of {size} leaves has no {}", tile.id().path())));
            };
            expected.swap_remove(at);
            edge.levels[usize::from(tile.id().level)] = tile.hashes().to_vec();
        }
        match expected.first() {
            Some(missing) => Err(SealError::new(format!("{} of a tree of {size} leaves is missing", missing.path()))),
            None => Ok(edge),
        }
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..=usize::from(TileId::MAX_LEVEL) {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() < usize::from(TileId::FULL) {
                return;
            }
            hash = perfect_root(hashes);
            let index = (self.size >> (8 * (level + 1))) - 1;
            self.nodes.push((Node { level: 8 * (level as u8 + 1), index }, hash));
            self.full.push(Tile::new(level as u8, index, std::mem::take(hashes)));
        }
    }

    /// Returns the root of the tree.
    pub fn root(&self) -> Hash {
        let mut root = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            // From the right: the smallest perfect subtree is the last.
            while end > 0 {
                let start = end - (1 << end.trailing_zeros());
                let left = perfect_root(&hashes[start..end]);
                root = Some(match root {
                    None => left,
                    Some(right) => Hash::of_node(&left, &right),
                });
                end = start;
            }
        }
        root.unwrap_or_else(Hash::of_empty_tree)
    }

    /// Returns the roots of the tiles that became full since they were taken last. They are the hashes of the levels above 0.
    pub fn take_nodes(&mut self) -> Vec<(Node, Hash)> {
        std::mem::take(&mut self.nodes)
    }

    /// Returns the tiles that came since they were taken last: full ones, then the partial ones of this size.
    pub fn take_tiles(&mut self) -> Vec<Tile> {
        let mut tiles = std::mem::take(&mut self.full);
        if self.size != self.taken {
            let known: Vec<TileId> = TileId::partial_tiles(self.taken).collect();
            let partial = TileId::partial_tiles(self.size).filter(|tile| !known.contains(tile));
            tiles.extend(
                partial.map(|tile| Tile::new(tile.level, tile.index, self.levels[usize::from(tile.level)].clone())),
            );
            self.taken = self.size;
        }
        tiles
    }
}
