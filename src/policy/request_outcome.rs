//! The outcome of a request.

use http::StatusCode;

use crate::event::EventType;

/// The outcome of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestOutcome<'a> {
    /// The status of the response, if there was one.
    pub(crate) status: Option<StatusCode>,
    /// True if the handler panicked, an inner service failed, or the request was cancelled.
    pub(crate) abnormal: bool,
    /// The number of results that the handler reported.
    pub(crate) result_count: Option<u64>,
    /// The type that the handler gave the event.
    pub(crate) declared_type: Option<&'a EventType>,
}
