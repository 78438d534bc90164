//! Why an event was not recorded, and why a log was not opened or closed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::store::StoreError;

/// Why an event was not recorded: for the operator, never for a response.
#[derive(Debug, Clone)]
pub struct RecordError {
    kind: RecordErrorKind,
    cause: Option<Arc<StoreError>>,
}

/// What kept an event from being recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// The write deadline passed. The store may have kept the event all the same.
    Deadline,
    /// The queue had no room until the deadline.
    QueueFull,
    /// The store refused; the cause is the error's source.
    Store,
    /// The log is closed.
    Closed,
    /// No rule records the request if it is answered with the status that was foreseen, and its handler has named no
    /// event type; or, outside of axum, no rule names the request at all.
    Undecided,
    /// The request has its event already.
    Repeated,
}

impl RecordError {
    pub(crate) fn new(kind: RecordErrorKind) -> Self {
        Self { kind, cause: None }
    }

    pub(super) fn store(cause: Arc<StoreError>) -> Self {
        Self { kind: RecordErrorKind::Store, cause: Some(cause) }
    }

    /// What kept the event from being recorded.
    pub fn kind(&self) -> RecordErrorKind {
        self.kind
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RecordErrorKind::Deadline => "the event was not acknowledged within the write deadline",
            RecordErrorKind::QueueFull => "the queue had no room for the event within the write deadline",
            RecordErrorKind::Store => "the store did not keep the event",
            RecordErrorKind::Closed => "the audit log is closed",
            RecordErrorKind::Undecided => {
                "no rule records the request with the status that was foreseen, and its handler has named no event type"
            }
            RecordErrorKind::Repeated => "the request has its event already",
        })
    }
}

impl Error for RecordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// Why a log was not opened.
#[derive(Debug)]
pub struct OpenError(pub(super) OpenErrorRepr);

#[derive(Debug)]
pub(super) enum OpenErrorRepr {
    Store(StoreError),
    Deadline,
    NoRuntime,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            OpenErrorRepr::Store(_) => f.write_str("the audit log was not opened"),
            OpenErrorRepr::Deadline => f.write_str("the audit log was not opened: the store did not answer in time"),
            OpenErrorRepr::NoRuntime => f.write_str("an audit log is opened within a tokio runtime"),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            OpenErrorRepr::Store(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(cause: StoreError) -> Self {
        Self(OpenErrorRepr::Store(cause))
    }
}

/// What was left when a log was closed.
#[derive(Debug)]
pub struct CloseError {
    pub(super) unfinished_requests: usize,
    pub(super) unwritten_events: u64,
    pub(super) store: Option<StoreError>,
}

impl CloseError {
    /// Audited requests that were still running when the time to close was over.
    pub fn unfinished_requests(&self) -> usize {
        self.unfinished_requests
    }

    /// Events that were not written while the log was closing.
    pub fn unwritten_events(&self) -> u64 {
        self.unwritten_events
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the audit log closed with {} requests unfinished and {} events unwritten",
            self.unfinished_requests, self.unwritten_events
        )
    }
}

impl Error for CloseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.store.as_ref().map(|cause| cause as &(dyn Error + 'static))
    }
}
