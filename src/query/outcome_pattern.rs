//! Patterns for the outcome of an event.

use std::str::FromStr;

use super::FilterError;
use crate::event::excerpt;

/// A pattern for the `outcome` of an event.
///
/// Exhaustive, so that the compiler shows a new pattern to the authors of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "stores handle every variant")]
pub enum OutcomePattern {
    /// This status.
    Exact(u16),
    /// A class of statuses: `4xx` is `Class(4)`.
    Class(u8),
    /// No status: the event is no request, or its request has not ended.
    Missing,
}

impl OutcomePattern {
    /// Returns true if the outcome matches.
    pub fn matches(self, outcome: Option<u16>) -> bool {
        match self {
            Self::Exact(status) => outcome == Some(status),
            Self::Class(hundreds) => outcome.is_some_and(|outcome| outcome / 100 == u16::from(hundreds)),
            Self::Missing => outcome.is_none(),
        }
    }
}

/// `404`, `4xx` or `none`.
impl FromStr for OutcomePattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let status = match text.as_bytes() {
            b"none" => Some(Self::Missing),
            [hundreds @ b'1'..=b'9', b'x', b'x'] => Some(Self::Class(hundreds - b'0')),
            [b'1'..=b'9', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
                text.parse().ok().map(Self::Exact)
            }
            _ => None,
        };
        status.ok_or_else(|| {
            FilterError::new(format!(
                "{:?} is no HTTP status: expected a number from 100 to 999, a class such as 4xx, or none",
                excerpt(text)
            ))
        })
    }
}
