//! The decision of the rules about the end of a request.

use crate::capture::StartedEvent;
use crate::event::{AuditEvent, EventType};
use crate::policy::{AuditPolicy, Decision, FailMode, MatchingRules, RequestOutcome};

/// The decision to record a request.
pub(super) struct RecordDecision {
    pub(super) rule: Option<usize>,
    pub(super) event_type: EventType,
    pub(super) fail_mode: FailMode,
    pub(super) body_end: bool,
}

/// Decides about the event of a request that has ended so. None: no event.
pub(super) fn decide(
    policy: &AuditPolicy,
    matching_rules: MatchingRules,
    ended: &RequestOutcome<'_>,
    started: Option<&StartedEvent>,
) -> Option<RecordDecision> {
    match (policy.decide(matching_rules, ended), started) {
        (Some(Decision { rule, event_type, fail_mode }), started) => Some(RecordDecision {
            // The head of the response leaves before this event, so a `started` one must be durable.
            body_end: started.is_some() && rule.is_some_and(|rule| policy.rule(rule).writes_at_body_end()),
            rule,
            event_type,
            fail_mode,
        }),
        // A `started` event is always ended.
        (None, Some(started)) => Some(RecordDecision {
            body_end: started.body_end,
            rule: None,
            event_type: started.event_type.clone(),
            fail_mode: started.fail_mode,
        }),
        (None, None) => None,
    }
}

/// Adds the counts to the event of a query with too many results.
pub(super) fn add_query_counts(event: &mut AuditEvent, result_count: Option<u64>, max_results: Option<u64>) {
    if event.event_type == EventType::OVERSIZE_QUERY {
        event.details.insert("result_count".into(), result_count.into());
        event.details.insert("max_results".into(), max_results.into());
    }
}
