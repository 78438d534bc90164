//! A file that cannot be read, or that is not of its language.

use std::error::Error;

/// A file that cannot be read, or that is not of its language.
#[derive(Debug)]
pub(crate) struct FileError {
    /// The line of the fault, from 1, where there is one.
    pub(crate) line: Option<usize>,
    /// The problem in words.
    pub(crate) problem: String,
    /// The cause, for a file that cannot be read.
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

impl FileError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into(), source: None }
    }

    pub(super) fn on_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    pub(super) fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}
