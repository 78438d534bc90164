//! The outcome of a request.

use http::StatusCode;

use crate::event::EventType;

/// The outcome of a request.
///
/// ```
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::RequestOutcome;
///
/// let policy = AuditPolicy::preset();
/// let matching = policy.matching_rules(&http::Method::POST, "/scans");
/// let ended = RequestOutcome { status: Some(http::StatusCode::OK), ..RequestOutcome::default() };
/// assert_eq!(policy.decide(matching, &ended).unwrap().event_type.as_str(), "upload");
///
/// let unnamed = policy.matching_rules(&http::Method::GET, "/scans");
/// assert!(policy.decide(unnamed, &ended).is_none());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestOutcome<'a> {
    /// The status of the response, if there was one.
    pub status: Option<StatusCode>,
    /// True if the handler panicked, an inner service failed, or the request was cancelled.
    pub abnormal: bool,
    /// The number of results that the handler reported.
    pub result_count: Option<u64>,
    /// The type that the handler gave the event.
    pub declared_type: Option<&'a EventType>,
}
