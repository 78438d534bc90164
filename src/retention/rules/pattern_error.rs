//! Texts that are no patterns.

use std::fmt;

/// A text that is no pattern, or one that is not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError(String);

impl PatternError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    pub(super) fn unsupported(what: &str) -> Self {
        Self(format!("{what} is not supported: use a rule of its own, above this one"))
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}
