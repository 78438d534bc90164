//! The tree in a store: tiles are made of the rows of leaves and nodes.

use std::collections::BTreeSet;

use crate::seal::{Hash, Node, SealError, Tile, TileId, TileSet, TreeEdge};
use crate::store::{Sealing, StoreError};

/// Returns a tile of the store's tree. None if rows of it are missing.
pub(super) async fn tile(sealing: &dyn Sealing, id: TileId) -> Result<Option<Tile>, StoreError> {
    let first = id.index * 256;
    let width = usize::from(id.width);
    let hashes: Vec<(u64, [u8; 32])> = match id.level {
        0 => sealing.leaves(first, width).await?.iter().map(|leaf| (leaf.index, leaf.hash)).collect(),
        level => sealing.nodes(level, first, width).await?.iter().map(|node| (node.index, node.hash)).collect(),
    };
    let is_whole = hashes.len() == width && hashes.iter().zip(first..).all(|((index, _), expected)| *index == expected);
    let bytes: Vec<u8> = hashes.iter().flat_map(|(_, hash)| *hash).collect();
    Ok(if is_whole { Tile::from_bytes(id, &bytes).ok() } else { None })
}

/// Returns the right edge of the tree of the first `size` leaves. An error names what is missing.
pub(super) async fn edge(sealing: &dyn Sealing, size: u64) -> Result<Result<TreeEdge, SealError>, StoreError> {
    let mut tiles = Vec::new();
    for id in TileId::partial_tiles(size) {
        tiles.extend(tile(sealing, id).await?);
    }
    Ok(TreeEdge::from_partial_tiles(size, tiles))
}

/// Returns the tiles with the hashes of these subtrees, as far as they are there.
pub(super) async fn tiles_of(sealing: &dyn Sealing, nodes: &[Node], size: u64) -> Result<TileSet, StoreError> {
    let ids: BTreeSet<TileId> = nodes.iter().filter_map(|node| TileId::of_node(*node, size)).collect();
    let mut tiles = TileSet::new();
    for id in ids {
        tiles.extend(tile(sealing, id).await?);
    }
    Ok(tiles)
}

/// Returns the root of the first `size` leaves. None if something is missing.
pub(super) async fn root(sealing: &dyn Sealing, size: u64) -> Result<Option<Hash>, StoreError> {
    Ok(edge(sealing, size).await?.ok().map(|edge| edge.root()))
}
