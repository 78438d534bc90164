//! What is wrong with a value that was to become part of an event.

use std::fmt;

use super::limits::excerpt;

/// A value that cannot be part of an event; the text says what was given and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventError {
    what: What,
    given: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Id,
    Type,
    Timestamp,
    Phase,
    ErrorCode,
}

impl EventError {
    pub(super) fn id(given: &str) -> Self {
        Self { what: What::Id, given: excerpt(given) }
    }

    pub(super) fn event_type(given: &str) -> Self {
        Self { what: What::Type, given: excerpt(given) }
    }

    pub(super) fn timestamp(given: &str) -> Self {
        Self { what: What::Timestamp, given: excerpt(given) }
    }

    pub(super) fn phase(given: &str) -> Self {
        Self { what: What::Phase, given: excerpt(given) }
    }

    pub(super) fn error_code(given: &str) -> Self {
        Self { what: What::ErrorCode, given: excerpt(given) }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, right) = match self.what {
            What::Id => ("event_id", "a UUID: 32 hexadecimal digits, with or without hyphens, braces or `urn:uuid:`"),
            What::Type => (
                "event_type",
                "`upload`, `admin_action`, `oversize_query`, `auth`, or `domain.action` in lower-case letters, digits, \
                 `_` and `-`, 64 characters at most",
            ),
            What::Timestamp => {
                ("time", "RFC 3339 such as 2026-05-25T12:00:00.123456Z, from the year 0001 to the year 9999")
            }
            What::Phase => ("phase", "one of `completed`, `started`, `unknown`"),
            What::ErrorCode => ("error", "a code of the closed list, such as `bad-request`"),
        };
        write!(f, "{:?} is no {what}: expected {right}", self.given)
    }
}

impl std::error::Error for EventError {}
