//! The moment in a request's life at which an event was written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::EventError;

/// The moment in a request's life at which an event was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the format of an event has these three")]
pub enum Phase {
    /// The outcome is known. The phase of events that are no request, too.
    #[default]
    Completed,
    /// Written before the handler ran.
    Started,
    /// Closes a `started` event whose process died before it could say how the request ended.
    Unknown,
}

impl Phase {
    /// The name in JSON and in filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Started => "started",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        [Self::Completed, Self::Started, Self::Unknown]
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| EventError::phase(text))
    }
}
