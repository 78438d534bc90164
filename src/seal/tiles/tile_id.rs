//! Names of tiles.

use std::fmt::Write as _;
use std::str::FromStr;

use crate::seal::error::decimal;
use crate::seal::{Node, SealError};

/// The place of a tile in the tree, and the number of its hashes.
///
/// ```
/// use tower_audit::seal::TileId;
///
/// let tile: TileId = "tile/0/x001/x234/067.p/5".parse()?;
/// assert_eq!((tile.level, tile.index, tile.width), (0, 1_234_067, 5));
/// assert_eq!(tile.entries_path(), "tile/entries/x001/x234/067.p/5");
/// # Ok::<(), tower_audit::seal::SealError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a coordinate")]
pub struct TileId {
    /// The level, 0 to 7: a hash in it is over `256^level` leaves.
    pub level: u8,
    /// The number of the tile in its level, from 0.
    pub index: u64,
    /// The number of its hashes, 1 to 256. A tile with fewer than 256 is partial.
    pub width: u16,
}

impl TileId {
    /// The number of hashes in a full tile.
    pub const FULL: u16 = 256;
    /// The greatest level: a tree of 2^64 leaves has no more.
    pub const MAX_LEVEL: u8 = 7;

    /// Returns the path below a log's prefix, such as `tile/0/x001/234.p/5`.
    pub fn path(&self) -> String {
        self.path_below(&self.level.to_string())
    }

    /// Returns the path of the bundle with the entries of this tile. Only tiles of level 0 have one.
    pub fn entries_path(&self) -> String {
        self.path_below("entries")
    }

    fn path_below(&self, folder: &str) -> String {
        let mut path = format!("tile/{folder}/");
        let digits = self.index.to_string();
        let digits = format!("{:0>width$}", digits, width = digits.len().next_multiple_of(3));
        for at in (0..digits.len()).step_by(3) {
            let is_last = at + 3 == digits.len();
            let _ = write!(
                path,
                "{}{}{}",
                if is_last { "" } else { "x" },
                &digits[at..at + 3],
                if is_last { "" } else { "/" }
            );
        }
        if self.width < Self::FULL {
            let _ = write!(path, ".p/{}", self.width);
        }
        path
    }

    /// Returns the tiles that a tree of this size consists of at its right edge: of each level the last one, if it is partial.
    pub fn partial_tiles(size: u64) -> impl Iterator<Item = Self> {
        let counts = (0..=Self::MAX_LEVEL).map(move |level| (level, size >> (8 * level)));
        counts.filter(|(_, count)| count % 256 != 0).map(|(level, count)| Self {
            level,
            index: count / 256,
            width: (count % 256) as u16,
        })
    }

    /// Returns the tile of a tree of this size in which a subtree's hash is found, or computed. None if the tree does not have
    /// the subtree.
    pub fn of_node(node: Node, size: u64) -> Option<Self> {
        let level = node.level / 8;
        let end = node.index.checked_add(1)?.checked_shl(u32::from(node.level % 8))?;
        let count = size.checked_shr(8 * u32::from(level))?;
        let is_lossless = end >> (node.level % 8) == node.index + 1;
        if !is_lossless || end > count {
            return None;
        }
        let index = (end - 1) / 256;
        Some(Self { level, index, width: (count - index * 256).min(256) as u16 })
    }

    /// Returns the length of the tile in bytes.
    pub fn bytes(&self) -> usize {
        usize::from(self.width) * crate::seal::Hash::BYTES
    }
}

/// Reads the path of a tile of hashes.
impl FromStr for TileId {
    type Err = SealError;

    fn from_str(path: &str) -> Result<Self, SealError> {
        let parsed = || -> Option<Self> {
            let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
            let level = u8::try_from(decimal(level)?).ok().filter(|level| *level <= Self::MAX_LEVEL)?;
            let (index, width) = match rest.split_once(".p/") {
                Some((index, width)) => {
                    (index, u16::try_from(decimal(width)?).ok().filter(|width| (1..256).contains(width))?)
                }
                None => (rest, Self::FULL),
            };
            let mut elements = index.split('/').rev();
            let mut digits = vec![elements.next()?];
            for element in elements {
                digits.push(element.strip_prefix('x')?);
            }
            if digits.iter().any(|digits| digits.len() != 3) || (digits.len() > 1 && digits.last() == Some(&"000")) {
                return None;
            }
            digits.reverse();
            let digits = digits.concat();
            let significant = digits.trim_start_matches('0');
            let index = decimal(if significant.is_empty() { "0" } else { significant })?;
            Some(Self { level, index, width })
        };
        parsed()
            .ok_or_else(|| SealError::text("path of a tile", path, "tile/LEVEL/INDEX such as `tile/0/x001/234.p/5`"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| TileId { level, index, width }.path();
        assert_eq!(tile(0, 0, 256), "tile/0/000");
        assert_eq!(tile(3, 999, 1), "tile/3/999.p/1");
        assert_eq!(tile(0, 1000, 255), "tile/0/x001/000.p/255");
        assert_eq!(tile(7, 1_234_067, 256), "tile/7/x001/x234/067");
    }

    /// The examples of the specification for the trees of 70,000 and of 256 leaves.
    #[test]
    fn a_tree_has_its_partial_tiles() {
        let partial = |size| TileId::partial_tiles(size).map(|tile| tile.path()).collect::<Vec<_>>();
        assert_eq!(partial(70_000), ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
        assert_eq!(partial(256), ["tile/1/000.p/1"]);
        assert_eq!(partial(0), [""; 0]);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "tile/0/0",
            "tile/00/000",
            "tile/8/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/x000/001",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/entries/000",
            "tile/8/0/000",
            "/tile/0/000",
            "tile/0/00é",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert!(bad.parse::<TileId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_path_is_read_back(level in 0..=7u8, index in any::<u64>(), width in 1..=256u16) {
            let tile = TileId { level, index, width };
            prop_assert_eq!(tile.path().parse::<TileId>().unwrap(), tile);
        }
    }
}
