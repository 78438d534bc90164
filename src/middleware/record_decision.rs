//! What the rules make of the end of a request.

use crate::capture::StartedEvent;
use crate::event::{AuditEvent, EventType};
use crate::policy::{AuditPolicy, Decision, FailMode, MatchingRules, RequestOutcome};

/// A request that is recorded, and how.
pub(super) struct RecordDecision {
    pub(super) rule: Option<usize>,
    pub(super) event_type: EventType,
    pub(super) fail_mode: FailMode,
    pub(super) body_end: bool,
}

/// Whether a request that ended like this is recorded, and how.
pub(super) fn decide(
    policy: &AuditPolicy,
    candidates: MatchingRules,
    ended: &RequestOutcome<'_>,
    started: Option<&StartedEvent>,
) -> Option<RecordDecision> {
    match (policy.decide(candidates, ended), started) {
        (Some(Decision { rule, event_type, fail_mode }), started) => Some(RecordDecision {
            // The head of the response leaves before the event: so another one must be durable.
            body_end: started.is_some() && rule.is_some_and(|rule| policy.rule(rule).is_body_end()),
            rule,
            event_type,
            fail_mode,
        }),
        // What was started must be ended, whatever came of it.
        (None, Some(started)) => Some(RecordDecision {
            body_end: started.body_end,
            rule: None,
            event_type: started.event_type.clone(),
            fail_mode: started.fail_mode,
        }),
        (None, None) => None,
    }
}

/// Says in the event of a query that it had too many results.
pub(super) fn add_query_counts(event: &mut AuditEvent, result_count: Option<u64>, max_results: Option<u64>) {
    if event.event_type == EventType::OVERSIZE_QUERY {
        event.details.insert("result_count".into(), result_count.into());
        event.details.insert("max_results".into(), max_results.into());
    }
}
