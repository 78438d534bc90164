//! Request outcomes, and the decisions that rules make of them.

use http::StatusCode;

use super::FailMode;
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

/// That a request is recorded, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The rule that decided, as an index into [`AuditPolicy::rules`](super::AuditPolicy::rules); none if the handler
    /// named a type that no rule is about.
    pub rule: Option<usize>,
    /// The type of the event.
    pub event_type: EventType,
    /// The treatment of the response if the event cannot be written.
    pub fail_mode: FailMode,
}
