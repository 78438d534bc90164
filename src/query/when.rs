//! The time grammar of the program and the API.

use std::fmt;

use crate::event::Timestamp;
use crate::event::limits::excerpt;

/// Reads a WHEN. (To be completed.)
pub fn parse_when(text: &str, _now: Timestamp) -> Result<Timestamp, TimeError> {
    text.parse().map_err(|_| TimeError(excerpt(text)))
}

/// Reads a DURATION. (To be completed.)
pub fn parse_duration(text: &str) -> Result<std::time::Duration, TimeError> {
    Err(TimeError(excerpt(text)))
}

/// Not a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeError(String);

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TimeError {}
