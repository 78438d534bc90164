//! Errors of a store.

use std::error::Error;
use std::fmt;

/// An error of a store. For the operator's log, never for a response.
///
/// The text has the store, the operation and, where there is one, the remedy, and never a connection string; the cause
/// is the [`source`](Error::source).
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    store: &'static str,
    operation: &'static str,
    hint: Option<String>,
    /// A part of the store may have what was appended.
    is_partly_stored: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a [`StoreError`], which decides whether to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It may pass by itself: try again soon (busy, locked, no space left, disconnected).
    Transient,
    /// Trying again does not help until somebody changes something.
    Permanent,
    /// The store cannot do this.
    Unsupported,
    /// The store is set up to lose what it has acknowledged: see [`Durability`](super::Durability).
    NotDurable,
    /// The store was told something it does not understand: its URL or its schema.
    Config,
    /// The store has seen that what it holds is damaged. From then on it refuses appends with this kind, and its health
    /// check fails, until an operator has looked at it.
    Corrupt,
    /// The account that the store is used with has no right to this: somebody has to give it one.
    Denied,
}

impl StoreError {
    /// An error of this kind, of a store, while doing something (`"append"`).
    pub fn new(kind: StoreErrorKind, store: &'static str, operation: &'static str) -> Self {
        Self { kind, store, operation, hint: None, is_partly_stored: false, source: None }
    }

    /// Adds the source error.
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Adds a hint: the problem in words, or a remedy.
    #[must_use]
    pub fn with_hint(mut self, remedy: impl Into<String>) -> Self {
        self.hint = Some(remedy.into());
        self
    }

    /// Marks an append of which a part of the store may have the events, although it failed for good.
    pub(crate) fn partly_stored(mut self) -> Self {
        self.is_partly_stored = true;
        self
    }

    /// Returns true if events of the failed append may be stored: the `started` ones among them need an end.
    pub(crate) fn may_be_stored(&self) -> bool {
        self.is_transient() || self.is_partly_stored
    }

    /// The error with another kind.
    #[cfg(feature = "postgres")]
    pub(crate) fn with_kind(mut self, kind: StoreErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Returns the operation that failed.
    #[cfg(feature = "sqlite")]
    pub(crate) fn doing(&self) -> &'static str {
        self.operation
    }

    /// Returns the remedy; empty if there is none.
    #[cfg(feature = "sqlite")]
    pub(crate) fn remedy(&self) -> &str {
        self.hint.as_deref().unwrap_or_default()
    }

    /// Returns true if a retry may succeed.
    pub fn is_transient(&self) -> bool {
        self.kind == StoreErrorKind::Transient
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StoreErrorKind::Transient => "failed for now",
            StoreErrorKind::Permanent => "failed",
            StoreErrorKind::Unsupported => "is not supported",
            StoreErrorKind::Config => "is not possible",
            StoreErrorKind::Denied => "is not permitted",
            StoreErrorKind::NotDurable => "is not durable",
            StoreErrorKind::Corrupt => "met damage",
        };
        write!(f, "{} store: {} {kind}", self.store, self.operation)?;
        match &self.hint {
            Some(remedy) => write!(f, ": {remedy}"),
            None => Ok(()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// An error and what has caused it, in one line. A cause that the text before it has already is left out.
pub(crate) fn chain(error: &dyn Error) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let mut said = error.to_string();
        f.write_str(&said)?;
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    })
}
