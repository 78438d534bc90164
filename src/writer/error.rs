//! Errors of recording, opening and closing.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::EventId;
use crate::store::{StoreError, chain};

/// The maximum number of ids in the text of an error.
const MAX_SHOWN_IDS: usize = 32;

/// A failed record. For the operator's log, never for a response.
///
/// Its text contains the store's error, whose cause is the [`source`](Error::source). `Debug` is the whole chain in one
/// line.
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
    /// The store rejected the event; the cause is the error's source.
    Store,
    /// The log is closed.
    Closed,
    /// The writer is gone: the runtime on which the log was opened has ended, or code that the writer called has panicked.
    /// The store may have the event.
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

    /// Returns the error of the store, if the store rejected the event.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.source.as_deref()
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RecordErrorKind::Timeout => "the event was not acknowledged within the write timeout",
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
/// Its text contains the store's error, whose cause is the [`source`](Error::source). `Debug` is the whole chain in one
/// line, readable where `main` returns it.
pub struct OpenError(pub(super) OpenErrorRepr);

pub(super) enum OpenErrorRepr {
    Store(StoreError),
    Timeout(Duration),
    NoRuntime,
    /// The builder has neither a URL nor a store.
    NoTarget,
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
            OpenErrorRepr::NoTarget => f.write_str("the builder has no store: call `url(\"sqlite:audit.db\")` or `store(..)`"),
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
    /// Returns the error of the store, if it could not be opened.
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
    pub(super) owed_events: Vec<EventId>,
    pub(super) is_stopped: bool,
    pub(super) store: Option<StoreError>,
}

impl CloseError {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            unfinished_requests,
            unwritten_events,
            queued_events,
            unanswered_events,
            owed_events,
            is_stopped,
            store,
        } = self;
        *unfinished_requests == 0
            && [*unwritten_events, *queued_events, *unanswered_events] == [0; 3]
            && owed_events.is_empty()
            && !is_stopped
            && store.is_none()
    }

    /// Returns the number of audited requests that were still running after the close timeout.
    pub fn unfinished_requests(&self) -> usize {
        self.unfinished_requests
    }

    /// Returns the number of events that the store rejected, or whose deadline passed, while the log was closing.
    pub fn unwritten_events(&self) -> u64 {
        self.unwritten_events
    }

    /// Returns the number of events that were still queued.
    pub fn queued_events(&self) -> u64 {
        self.queued_events
    }

    /// Returns the number of events in appends that the store had not answered: it may have them.
    pub fn unanswered_events(&self) -> u64 {
        self.unanswered_events
    }

    /// Returns the ids of the events without a caller that the log did not get to write: ends of requests whose client
    /// has gone, and `started` events that the store may have.
    pub fn owed_events(&self) -> &[EventId] {
        &self.owed_events
    }

    /// Returns true if the runtime on which the log was opened had ended before.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Returns the error of the store, if it could not be closed.
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
        for (count, text) in counts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {text}: {count}")?;
        }
        if !self.owed_events.is_empty() {
            write!(f, "; events of requests whose clients have gone are not written: {}", self.owed_events.len())?;
            for (at, id) in self.owed_events.iter().take(MAX_SHOWN_IDS).enumerate() {
                write!(f, "{}{id}", if at == 0 { " (" } else { ", " })?;
            }
            f.write_str(if self.owed_events.len() > MAX_SHOWN_IDS { ", …)" } else { ")" })?;
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
