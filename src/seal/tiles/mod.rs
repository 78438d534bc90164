//! Tiles and entry bundles of C2SP tlog-tiles v0.1.0.

mod entry_bundle;
mod tile;
mod tile_id;
mod tile_set;
mod tree_edge;

pub use entry_bundle::{MAX_ENTRY_BYTES, read_bundle, write_bundle};
pub use tile::Tile;
pub use tile_id::TileId;
pub use tile_set::TileSet;
pub use tree_edge::TreeEdge;
