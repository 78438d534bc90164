//! Rules that make no sense.

use std::error::Error;
use std::fmt;

use crate::config_file::FileError;

/// Rules that make no sense, or a file that has none: the text names the file, the line and the key.
///
/// ```
/// use tower_audit::retention::RetentionRules;
///
/// let error = RetentionRules::from_yaml("- rotate: 10\n  usr: nils\n").unwrap_err();
/// assert_eq!(error.line(), Some(2));
/// assert!(error.to_string().starts_with("line 2: unknown key `usr`: expected"));
/// ```
#[derive(Debug)]
pub struct RulesError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    file: Option<String>,
    line: Option<usize>,
    problem: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl RulesError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(Box::new(Inner { file: None, line: None, problem: problem.into(), source: None }))
    }

    /// Returns the line of the file, from 1.
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    pub(super) fn on_line(mut self, line: usize) -> Self {
        self.0.line = self.0.line.or(Some(line));
        self
    }

    pub(super) fn in_file(mut self, file: String) -> Self {
        self.0.file = Some(file);
        self
    }

    pub(super) fn of_key(mut self, key: &str) -> Self {
        self.0.problem = format!("key `{key}`: {}", self.0.problem);
        self
    }
}

impl From<FileError> for RulesError {
    fn from(error: FileError) -> Self {
        let FileError { line, problem, source } = error;
        Self(Box::new(Inner { file: None, line, problem, source }))
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.0.file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = self.0.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.0.problem)
    }
}

impl Error for RulesError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
