//! What an operator should know of a store.

/// Something that an operator should know of a store: what [`AuditStore::inspect`](super::AuditStore::inspect) finds.
///
/// No text of it has a connection string in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about, in a word.
    pub about: &'static str,
    /// What was found.
    pub text: String,
    /// What to do about it, if there is anything.
    pub remedy: Option<String>,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Fine,
    /// Events are kept; something should be seen to.
    Warning,
    /// Events are not kept, not durable, or not safe.
    Wrong,
}

impl Finding {
    /// Something that is as it should be.
    pub fn fine(about: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Fine, about, text: text.into(), remedy: None }
    }

    /// Something to be seen to, and how.
    pub fn warning(about: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, about, text: text.into(), remedy: Some(remedy.into()) }
    }

    /// Something that is wrong, and what to do about it.
    pub fn wrong(about: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Wrong, about, text: text.into(), remedy: Some(remedy.into()) }
    }
}
