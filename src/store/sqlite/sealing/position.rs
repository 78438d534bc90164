//! Positions in the order of commits.
//!
//! SQLite commits one transaction after the other, and each appends rows to the journal, whose numbers grow for ever.
//! Compaction moves them, in that order, to the end of the newest segment. So segments by number, their rows by number, and then
//! the journal's rows are the order of the commits, before and after a compaction.

use std::fmt;

/// The last rows that have leaves, with all before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The segment.
    pub(crate) segment: i64,
    /// The row of the segment.
    pub(crate) row: i64,
    /// The row of the journal.
    pub(crate) journal: i64,
}

impl Position {
    /// Before every row. Somebody may have put in one with a number below 1, which no writer gives.
    pub(crate) const BEGINNING: Self = Self { segment: i64::MIN, row: i64::MIN, journal: i64::MIN };

    /// Reads a position. One that is none is the beginning.
    pub(crate) fn read(text: &str) -> Self {
        let mut numbers = text.split('/').map(|number| number.parse::<i64>().ok());
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(segment)), Some(Some(row)), Some(Some(journal)), None) => Self { segment, row, journal },
            _ => Self::BEGINNING,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.segment, self.row, self.journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_is_none_is_the_beginning() {
        let position = Position { segment: 3, row: 7, journal: 41 };
        for position in [position, Position::BEGINNING] {
            assert_eq!(Position::read(&position.to_string()), position);
        }
        for bad in ["", "1/2", "1/2/3/4", "a/b/c", "1/2/99999999999999999999"] {
            assert_eq!(Position::read(bad), Position::BEGINNING, "{bad}");
        }
    }
}
