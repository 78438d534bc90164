//! Cells that an erasure blanks, and the leaves whose events have them.

use std::fmt;
use std::str::FromStr;

use super::LeafRanges;
use crate::seal::SealError;
use crate::seal::error::decimal;

/// The cells that are erased of some events: `2,5,6 0-99 105` are the cells 2, 5 and 6 of the leaves 0 to 99 and 105.
///
/// A cell is named by its number in the sealed event, from 0: the names of members of `details` may tell something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a line of a removal")]
pub struct ErasedCells {
    /// The numbers of the cells, ascending.
    pub cells: Vec<u16>,
    /// The leaves.
    pub leaves: LeafRanges,
}

impl fmt::Display for ErasedCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, cell) in self.cells.iter().enumerate() {
            write!(f, "{}{cell}", if number > 0 { "," } else { "" })?;
        }
        write!(f, " {}", self.leaves)
    }
}

impl FromStr for ErasedCells {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let wrong = || SealError::text("erased cells", text, "ascending numbers and leaves such as `2,5 0-99 105`");
        let (cells, leaves) = text.split_once(' ').ok_or_else(wrong)?;
        let cells: Vec<u16> = cells
            .split(',')
            .map(|cell| decimal(cell).and_then(|cell| u16::try_from(cell).ok()).ok_or_else(wrong))
            .collect::<Result<_, _>>()?;
        if !cells.is_sorted_by(|one, next| one < next) {
            return Err(wrong());
        }
        Ok(Self { cells, leaves: leaves.parse()? })
    }
}
