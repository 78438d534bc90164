//! Errors of recording, opening and closing.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{StoreError, chain};

/// A failed record. For the operator's log, never for a response.
///
/// The text has the store's own error, the [`source`](Error::source) is what that was caused by, and `Debug` is the whole
/// chain in one line.
#[derive(Clone)]
pub struct RecordError {
    kind: RecordErrorKind,
    source: Option<Arc<StoreError>>,
}

/// The kind of a failed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// The write deadline passed. The store may have kept the event all the same.
    Timeout,
    /// The queue had no room until the deadline, or too many waited for room already.
    QueueFull,
    /// The store refused; the cause is the error's source.
    Store,
    /// The log is closed.
    Closed,
    /// The writer is gone, or has failed while it had the event: the runtime on which the log was opened has ended, or
    /// something that the writer called has panicked. The store may have kept the event all the same.
    Stopped,
    /// No rule records the request if it is answered with the status that was foreseen, and its handler has named no
    /// event type; or, outside of axum, no rule names the request at all.
    NoMatchingRule,
    /// The request has its event already.
    AlreadyRecorded,
}

impl RecordError {
    pub(crate) fn new(kind: RecordErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn store(cause: Arc<StoreError>) -> Self {
        Self { kind: RecordErrorKind::Store, source: Some(cause) }
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> RecordErrorKind {
        self.kind
    }

    /// The error of the store, if it refused.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.source.as_deref()
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RecordErrorKind::Timeout => "the event was not acknowledged within the write deadline",
            RecordErrorKind::QueueFull => "the queue of the audit log had no room for the event",
            RecordErrorKind::Store => "the store did not keep the event",
            RecordErrorKind::Closed => "the audit log is closed",
            RecordErrorKind::Stopped => {
                "the writer of the audit log has stopped: open the log on the runtime that serves the requests, and keep \
                 that running until the log is closed"
            }
            RecordErrorKind::NoMatchingRule => {
                "no rule records the request with the status that was foreseen, and its handler has named no event type"
            }
            RecordErrorKind::AlreadyRecorded => "the request has its event already",
        })?;
        match &self.source {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, chain(self))
    }
}

impl Error for RecordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().and_then(Error::source)
    }
}

/// A failure to open a log.
///
/// The text has the store's own error, the [`source`](Error::source) is what that was caused by, and `Debug` is the whole
/// chain in one line, so that it can be read where `main` returns it.
pub struct OpenError(pub(super) OpenErrorRepr);

pub(super) enum OpenErrorRepr {
    Store(StoreError),
    Timeout(Duration),
    NoRuntime,
    /// `AUDIT_URL` is not set.
    Unset,
    /// `AUDIT_URL` is no text.
    NotUnicode,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit log was not opened: ")?;
        match &self.0 {
            OpenErrorRepr::Store(cause) => cause.fmt(f),
            OpenErrorRepr::Timeout(limit) => write!(f, "the store did not answer within {limit:?}"),
            OpenErrorRepr::NoRuntime => f.write_str("open it within a tokio runtime that has timers"),
            OpenErrorRepr::Unset => f.write_str(
                "AUDIT_URL is not set: set it to the URL of a store, such as sqlite:/var/lib/app/audit.db, or to `off` if \
                 nothing is to be recorded",
            ),
            OpenErrorRepr::NotUnicode => f.write_str(
                "AUDIT_URL is not UTF-8: set it to the URL of a store, whose path then has to be UTF-8, or to `off` if \
                 nothing is to be recorded",
            ),
        }
    }
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", chain(self))
    }
}

impl OpenError {
    /// The error of the store, if it could not be opened.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.0 {
            OpenErrorRepr::Store(cause) => Some(cause),
            _ => None,
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.store_error().and_then(Error::source)
    }
}

impl From<StoreError> for OpenError {
    fn from(cause: StoreError) -> Self {
        Self(OpenErrorRepr::Store(cause))
    }
}

/// Requests and events that were unfinished when a log closed.
///
/// `Debug` is the whole chain in one line.
#[derive(Default)]
pub struct CloseError {
    pub(super) unfinished_requests: usize,
    pub(super) unwritten_events: u64,
    pub(super) queued_events: u64,
    pub(super) unanswered_events: u64,
    pub(super) is_stopped: bool,
    pub(super) store: Option<StoreError>,
}

impl CloseError {
    pub(super) fn is_empty(&self) -> bool {
        let Self { unfinished_requests, unwritten_events, queued_events, unanswered_events, is_stopped, store } = self;
        *unfinished_requests == 0
            && [*unwritten_events, *queued_events, *unanswered_events] == [0; 3]
            && !is_stopped
            && store.is_none()
    }

    /// Audited requests that were still running when the time to close was over.
    pub fn unfinished_requests(&self) -> usize {
        self.unfinished_requests
    }

    /// Events that were refused while the log was closing, by the store or because their deadline passed.
    pub fn unwritten_events(&self) -> u64 {
        self.unwritten_events
    }

    /// Events that still waited for the writer when the time was over.
    pub fn queued_events(&self) -> u64 {
        self.queued_events
    }

    /// Events that the store had been given and had not answered for when the time was over: it may keep them.
    pub fn unanswered_events(&self) -> u64 {
        self.unanswered_events
    }

    /// The runtime on which the log was opened has ended before the log was closed.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The error of the store, if it could not be closed.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.store.as_ref()
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit log was not closed well")?;
        let counts = [
            (self.unfinished_requests as u64, "requests still run"),
            (self.unwritten_events, "events were refused"),
            (self.queued_events, "events still wait for the writer"),
            (self.unanswered_events, "events are at the store, which has not answered"),
        ];
        for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {what}: {count}")?;
        }
        if self.is_stopped {
            f.write_str("; the runtime on which it was opened has ended: close the log before that")?;
        }
        match &self.store {
            Some(cause) => write!(f, "; {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", chain(self))
    }
}

impl Error for CloseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.store.as_ref().and_then(Error::source)
    }
}
