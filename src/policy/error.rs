//! Errors of a policy.

use std::fmt;

/// An invalid policy: the text names the rule, the key, the value and the expected one, and the line of a policy file.
///
/// ```
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::presets;
///
/// let error = AuditPolicy::builder().rule(presets::ivre::upload().paths(["scans"])).build().unwrap_err();
/// assert_eq!(error.key(), Some("paths"));
/// assert_eq!(
///     error.to_string(),
///     "rule 1 (`upload`): key `paths`: \"scans\" is no path pattern: it must start with `/`"
/// );
/// ```
pub struct PolicyError(Box<PolicyErrorInner>);

struct PolicyErrorInner {
    file: Option<String>,
    line: Option<usize>,
    location: Location,
    problem: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The place of a fault in a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Location {
    /// The index of the rule, and the name of its type if it has one.
    pub(super) rule: Option<(usize, String)>,
    /// The key as it stands in a file; a dot leads into a table.
    pub(super) key: Option<String>,
    /// The index in a list of values.
    pub(super) item: Option<usize>,
}

impl Location {
    pub(super) fn key(key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::default() }
    }

    pub(super) fn rule(index: usize, name: &str, key: &str) -> Self {
        Self { rule: Some((index, name.to_owned())), ..Self::key(key) }
    }

    pub(super) fn item(mut self, item: usize) -> Self {
        self.item = Some(item);
        self
    }
}

impl PolicyError {
    pub(super) fn new(place: Location, problem: impl Into<String>) -> Self {
        Self(Box::new(PolicyErrorInner {
            file: None,
            line: None,
            location: place,
            problem: problem.into(),
            source: None,
        }))
    }

    /// The line of the policy file, from 1.
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    /// The key of the policy file, or the setter of the same name, that has the wrong value.
    pub fn key(&self) -> Option<&str> {
        self.0.location.key.as_deref()
    }
}

#[cfg(feature = "policy-file")]
impl PolicyError {
    pub(super) fn with_source(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    pub(super) fn location(&self) -> &Location {
        &self.0.location
    }

    pub(super) fn on_line(mut self, line: usize) -> Self {
        self.0.line = self.0.line.or(Some(line));
        self
    }

    pub(super) fn in_file(mut self, file: String) -> Self {
        self.0.file = Some(file);
        self
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyErrorInner { file, line, location: place, problem, .. } = &*self.0;
        if let Some(file) = file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        match &place.rule {
            Some((index, name)) if name.is_empty() => write!(f, "rule {}: ", index + 1)?,
            Some((index, name)) => write!(f, "rule {} (`{name}`): ", index + 1)?,
            None => {}
        }
        match &place.key {
            // Only of a key itself can be said that it "is" something; of a value, the value comes first.
            Some(key) if problem.starts_with("is ") => write!(f, "key `{key}` {problem}"),
            Some(key) => write!(f, "key `{key}`: {problem}"),
            None => f.write_str(problem),
        }
    }
}

impl fmt::Debug for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyError({self})")
    }
}

impl std::error::Error for PolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|cause| cause as _)
    }
}
