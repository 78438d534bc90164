//! Regular expressions in Python's syntax, matched as `re.match` does.
//!
//! The syntax is that of Python's `re`; the engine is the crate `regex`, whose time is linear in the length of the text. Its
//! own syntax differs: `[[a]` is a set of two characters in Python and an error there, `$` matches before a last line break,
//! `{,3}` is a repetition. So a pattern is read by Python's grammar and written in the engine's. Groups capture nothing and
//! laziness has no effect, because the only question is: does the text begin with a match?

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::pattern_error::PatternError;
use super::python_syntax::{MAX_DEPTH, Translation};

/// A regular expression in Python's syntax, matched as `re.match` does: at the beginning of the text, not necessarily to
/// its end.
///
/// ```
/// use tower_audit::retention::PythonPattern;
///
/// let pattern = PythonPattern::new("POST /token/(init|enable)")?;
/// assert!(pattern.is_match("POST /token/init/7"));
/// assert!(!pattern.is_match("a POST /token/init"));
///
/// let error = PythonPattern::new("(?!GET)").unwrap_err();
/// assert_eq!(error.to_string(), "lookahead `(?!` is not supported: use a rule of its own, above this one");
/// # Ok::<(), tower_audit::retention::PatternError>(())
/// ```
///
/// # Differences from Python
/// Lookaround, back-references, atomic groups, possessive repetitions, conditions and `\N{…}` are errors: they need
/// backtracking, and a text that a client chose could then stop a purge. `docs/retention.md` lists the few
/// differences that remain.
#[derive(Clone)]
pub struct PythonPattern {
    text: String,
    regex: Regex,
}

impl PythonPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If Python would reject the pattern, if it needs backtracking, or if it is longer than 4 KiB or takes more than 1 MiB
    /// of memory.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::new(format!("the pattern has {} bytes: expected 4096 at most", text.len())));
        }
        let translated = Translation::of(text)?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{translated})"))
            .size_limit(MAX_REGEX_BYTES)
            .dfa_size_limit(MAX_DFA_BYTES)
            .nest_limit(4 * MAX_DEPTH as u32)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => {
                    PatternError::new("the pattern takes more than 1 MiB of memory: use smaller repetitions")
                }
                // The translation is of the engine's grammar, but for ranges that it may limit further.
                error => PatternError::new(error.to_string().lines().last().unwrap_or_default().to_owned()),
            })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Returns true if the text begins with a match.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns the pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true for the usual patterns that match every text.
    pub(crate) fn matches_everything(&self) -> bool {
        matches!(self.text.as_str(), "" | "^" | ".*" | "^.*" | r"\A.*" | ".*?")
    }
}

impl fmt::Debug for PythonPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PythonPattern({:?})", self.text)
    }
}

const MAX_PATTERN_BYTES: usize = 4096;
const MAX_REGEX_BYTES: usize = 1024 * 1024;
const MAX_DFA_BYTES: usize = 1024 * 1024;
