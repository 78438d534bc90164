//! The number of durable members that must have an event.

use std::num::NonZeroUsize;

/// The number of counted members that must acknowledge an event. Counted are the durable members that are not best effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Quorum {
    /// Each of those that take the event.
    #[default]
    All,
    /// One of them.
    Any,
    /// As many as this.
    AtLeast(NonZeroUsize),
}

/// The treatment of an event that fewer counted members take than the quorum needs, because of their filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unmatched {
    /// It is refused. If the filters leave out a declared type, the tee is not opened.
    #[default]
    Refuse,
    /// It is acknowledged, and given to those members that take it: the filters say what is recorded. Such events are counted.
    Discard,
}

impl Quorum {
    /// Returns the number of acknowledgements that are needed of `counted` members.
    pub(super) fn of(self, counted: u32) -> u32 {
        match self {
            Self::All => counted.max(1),
            Self::Any => 1,
            Self::AtLeast(number) => u32::try_from(number.get()).unwrap_or(u32::MAX),
        }
    }
}
