//! Errors of values that cannot be part of an event.

use std::fmt;

use super::truncate::excerpt;

/// A value that cannot be part of an event; the text says what was given and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventError {
    kind: ValueKind,
    input: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Id,
    Type,
    Target,
    Timestamp,
    Phase,
    ErrorCode,
}

impl EventError {
    pub(super) fn id(given: &str) -> Self {
        Self { kind: ValueKind::Id, input: excerpt(given) }
    }

    pub(super) fn event_type(given: &str) -> Self {
        Self { kind: ValueKind::Type, input: excerpt(given) }
    }

    pub(super) fn target(given: &str) -> Self {
        Self { kind: ValueKind::Target, input: excerpt(given) }
    }

    pub(super) fn timestamp(given: &str) -> Self {
        Self { kind: ValueKind::Timestamp, input: excerpt(given) }
    }

    pub(super) fn phase(given: &str) -> Self {
        Self { kind: ValueKind::Phase, input: excerpt(given) }
    }

    pub(super) fn error_code(given: &str) -> Self {
        Self { kind: ValueKind::ErrorCode, input: excerpt(given) }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, right) = match self.kind {
            ValueKind::Id => {
                ("event_id", "a UUID: 32 hexadecimal digits, with or without hyphens, braces or `urn:uuid:`")
            }
            ValueKind::Type => (
                "event_type",
                "`upload`, `admin_action`, `oversize_query`, `auth`, or `domain.action` in lower-case letters, digits, \
                 `_` and `-`, 64 characters at most",
            ),
            ValueKind::Target => (
                "target",
                "TYPE/ID such as `order/7`: a type of 1 to 64 lower-case letters, digits, `.`, `_` and `-`, a slash, and an id",
            ),
            ValueKind::Timestamp => {
                ("time", "RFC 3339 such as 2026-05-25T12:00:00.123456Z, from the year 0001 to the year 9999")
            }
            ValueKind::Phase => ("phase", "one of `completed`, `started`, `unknown`"),
            ValueKind::ErrorCode => ("error", "a code of the closed list, such as `bad-request`"),
        };
        write!(f, "{:?} is no {what}: expected {right}", self.input)
    }
}

impl std::error::Error for EventError {}
