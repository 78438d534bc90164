//! The decision about the event for the end of a handler.

use super::grpc_call_end;
use super::handler_end::HandlerEnd;
use super::lifecycle::RequestLifecycle;
use super::record_decision::{RecordDecision, add_query_counts, decide};
use super::response_mark;
use crate::capture::{AttemptRelation, ResultCount, TransactionalEvent, WithheldResponse};
use crate::event::{BoundedEvent, Details, ErrorCode};
use crate::policy::RequestOutcome;

/// The decision about the end of a handler.
pub(super) enum EventDisposition {
    /// A layer within is about to record it.
    Awaited,
    /// A layer within has recorded it.
    Told,
    /// A layer within could not record it, and this is its refusal.
    IsRefusal(WithheldResponse),
    /// A layer within could not record it, and a layer in between has made another response of its refusal.
    Refused(WithheldResponse),
    /// No rule records it. The handler may have written its event in a transaction.
    Nothing(Option<TransactionalEvent>),
    /// Write this event, unless the handler's transaction with it is committed.
    Record(BoundedEvent, RecordDecision, Option<TransactionalEvent>),
}

/// The facts that a response has about its request.
#[derive(Default)]
pub(super) struct ResponseFacts {
    details: Details,
    pub(super) result_count: Option<u64>,
    pub(super) mark: Option<usize>,
}

impl RequestLifecycle {
    /// Reads the facts off the response. Before the lock is taken: the callback is the app's, and may use the context.
    pub(super) fn facts<R, E>(&self, end: &HandlerEnd<R, E>) -> ResponseFacts {
        let Some(parts) = end.parts() else { return ResponseFacts::default() };
        self.claim.find_actor(&parts.extensions);
        let mark = response_mark::read(&parts.extensions, self.shared.log_id, &self.claim);
        ResponseFacts {
            details: if mark.is_none() { self.shared.details(parts) } else { Details::new() },
            result_count: parts.extensions.get::<ResultCount>().map(|count| count.0),
            mark,
        }
    }

    /// Decides about the event for the end of the handler. `waits`: for a layer within that is about to record it.
    pub(super) fn decide<R, E>(
        &self,
        end: &HandlerEnd<R, E>,
        facts: &mut ResponseFacts,
        waits: bool,
    ) -> EventDisposition {
        let attempt = self.claim.attempt();
        let mut attempts = self.claim.lock();
        let written = attempts[attempt].written;
        let beside = match attempts.relation(attempt, facts.mark, (end.kind(), end.status()), waits) {
            AttemptRelation::Telling => {
                // To the layers further out, this layer is about to record it.
                attempts.tell(attempt);
                return EventDisposition::Awaited;
            }
            // The handler has written this layer's event in a transaction.
            _ if written.is_some() => None,
            AttemptRelation::Told => return EventDisposition::Told,
            AttemptRelation::LeftOut => return EventDisposition::Nothing(None),
            AttemptRelation::IsRefusal(refusal) => return EventDisposition::IsRefusal(refusal),
            AttemptRelation::Refused(refusal) => return EventDisposition::Refused(refusal),
            AttemptRelation::Alone => None,
            AttemptRelation::Beside(open) => Some(open),
        };
        let rules_beside = beside.and_then(|beside| Some((beside, attempts[beside].rules()?)));
        let (of, policy, matching_rules) = match &rules_beside {
            Some((beside, (policy, matching_rules))) => (*beside, policy, *matching_rules),
            None => (attempt, &self.shared.policy, attempts[attempt].matching_rules),
        };
        let result_count = attempts.result_count(attempt).or(facts.result_count);
        facts.result_count = result_count.filter(|_| !attempts[attempt].is_limited_within);
        let declared = attempts.declared(attempt);
        let decide = |status, abnormal| {
            let ended =
                RequestOutcome { status, abnormal, result_count: facts.result_count, declared_type: declared.as_ref() };
            decide(policy, matching_rules, &ended, attempts[attempt].started.as_ref())
        };
        let decided = match end.parts() {
            Some(_) if end.is_open_call() => grpc_call_end::any_end(decide),
            Some(_) => decide(end.status(), end.is_abnormal()),
            None => decide(None, true),
        };
        let Some(decided) = decided else {
            if written.is_some() {
                attempts.claim(attempt);
            }
            return EventDisposition::Nothing(written);
        };
        attempts.claim(attempt);
        let mut event = attempts.draft(attempt, of, decided.event_type.clone(), decided.rule);
        event.details = std::mem::take(&mut facts.details);
        event.details.append(&mut attempts.take_details(attempt));
        attempts.redact_details(of, &mut event.details);
        // The head is not needed any more, and its parts keep the server's read buffer alive.
        let head = attempts[attempt].head.take();
        drop(attempts);
        drop(head);
        event.details.extend(end.detail().map(|detail| (detail.into(), true.into())));
        event.outcome = end.status().map(|status| status.as_u16());
        if event.classification.error.is_none() {
            event.classification.error = end.status().and_then(ErrorCode::from_status);
        }
        if let Some(call) = end.of_call() {
            call.describe(&mut event);
        }
        add_query_counts(&mut event, result_count, policy.max_results());
        event.request.duration_us = self.arrived.and_then(|arrived| u64::try_from(arrived.elapsed().as_micros()).ok());
        let event = BoundedEvent::new(event);
        self.shared.log.note(&event);
        EventDisposition::Record(event, decided, written)
    }
}
