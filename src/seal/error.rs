//! Errors of texts and bytes of the seal.

use std::fmt;

use crate::event::excerpt;

/// A text or bytes of the seal that break their format. Says what was given and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealError {
    message: String,
}

impl SealError {
    /// `given` is no `what`.
    pub(super) fn text(what: &str, given: &str, expected: &str) -> Self {
        Self { message: format!("{:?} is no {what}: expected {expected}", excerpt(given)) }
    }

    /// A part of a text, in words of its own.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// Names the line, from 1.
    pub(super) fn at_line(number: usize, message: impl fmt::Display) -> Self {
        Self { message: format!("line {number}: {message}") }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SealError {}

/// Reads a decimal number without sign, leading zeros or anything else.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}
