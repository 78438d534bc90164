//! The `started` event of a request, and the end of one whose handler is not called.

use http::StatusCode;
use tokio::time::Instant;

use super::lifecycle::RequestLifecycle;
use super::record_decision::RecordDecision;
use crate::capture::{AttemptStage, EndKind, StartedEvent, WithheldResponse};
use crate::event::{AuditEvent, BoundedEvent, Details, ErrorCode, EventId, Phase};
use crate::policy::{AuditPolicy, FailMode, MatchingRules};
use crate::store::TransactionId;
use crate::writer::IfRefused;

impl RequestLifecycle {
    /// Makes the `started` event durable and marks the handler as about to be called. An error: it must not be.
    pub(super) async fn start(&mut self, rule_at: usize) -> Result<(), WithheldResponse> {
        let policy = &self.shared.policy;
        let attempt = self.claim.attempt();
        let (fail_mode, event) = {
            let mut attempts = self.claim.lock();
            let fail_mode = start_fail_mode(policy, attempts[attempt].matching_rules);
            let adopted = if attempts.adopt_started(attempt) { attempts[attempt].started.clone() } else { None };
            if adopted.as_ref().is_some_and(|adopted| adopted.is_durable || fail_mode == FailMode::Open) {
                (fail_mode, None)
            } else {
                let event_type =
                    attempts.declared(attempt).unwrap_or_else(|| policy.rule(rule_at).event_type().clone());
                let mut event = attempts.draft(attempt, attempt, event_type, Some(rule_at));
                event.request.started_event_id = None;
                if let Some(adopted) = adopted {
                    // Written once more: the layer around goes on without it, this one does not.
                    (event.event_id, event.created_at) = (adopted.event_id, adopted.created_at);
                }
                (fail_mode, Some(event))
            }
        };
        if let Some(mut event) = event {
            event.phase = Phase::Started;
            let event = BoundedEvent::new(event);
            let mut started = StartedEvent {
                event_id: event.event_id,
                created_at: event.created_at,
                event_type: event.event_type.clone(),
                fail_mode,
                body_end: policy.rule(rule_at).writes_at_body_end(),
                is_durable: true,
            };
            // The log ends it, if it becomes durable after this request was refused.
            let may_run = fail_mode == FailMode::Open;
            let if_refused = if may_run { IfRefused::Leave } else { IfRefused::EndNotRun };
            let wait = self.claim.begin_wait();
            let written = self.shared.log.write(event, wait.deadline(), if_refused).await;
            drop(wait);
            if written.is_err() {
                if !may_run {
                    self.claim.lock()[attempt].started = None;
                    return Err(WithheldResponse { event_id: started.event_id, has_run: false });
                }
                self.shared.log.count_unrecorded();
                started.is_durable = false;
            }
            // The end names it even if the write has failed: the store may have kept it.
            self.claim.lock()[attempt].started = Some(started);
        }
        let is_late = {
            let mut attempts = self.claim.lock();
            let is_late = fail_mode != FailMode::Open && attempts.is_out_of_time(attempt);
            if !is_late && attempts.begin(attempt) {
                return Ok(());
            }
            is_late
        };
        if is_late {
            return Err(self.refuse_late());
        }
        let Some(event) = self.end_unrun() else {
            return Err(WithheldResponse { event_id: EventId::new(), has_run: false });
        };
        let refusal = WithheldResponse { event_id: event.event_id, has_run: false };
        // No client waits for it, so it has a whole write timeout.
        let deadline = Instant::now() + self.shared.log.write_timeout();
        if self.shared.log.write_end(event, deadline, || true).await.is_ok() {
            self.claim.settle(AttemptStage::Told(EndKind::Dropped));
        }
        Err(refusal)
    }

    /// Refuses a request because too little time is left for the event at its end. The client waits for the answer, so the
    /// log ends the `started` event, of this layer or of one around it, without the request.
    pub(super) fn refuse_late(&self) -> WithheldResponse {
        self.claim.lock().adopt_started(self.claim.attempt());
        let event = self.end_unrun();
        let event_id = event.as_ref().map_or_else(EventId::new, |event| event.event_id);
        self.shared.log.refuse_late(event_id);
        if let Some(event) = event {
            self.shared.log.write_later(event);
        }
        WithheldResponse { event_id, has_run: false }
    }

    /// The end of a `started` event whose handler is not called: no client waits for it any more, or no time is left for
    /// the event at its end.
    fn end_unrun(&self) -> Option<BoundedEvent> {
        let mut attempts = self.claim.lock();
        let attempt = self.claim.attempt();
        let started = attempts[attempt].started.clone()?;
        let rule = self.shared.policy.first_write_ahead(attempts[attempt].matching_rules);
        let mut event = attempts.draft(attempt, attempt, started.event_type, rule);
        event.details = attempts.take_details(attempt);
        attempts.redact_details(attempt, &mut event.details);
        // Ended: no other attempt takes it over.
        attempts[attempt].started = None;
        attempts.tell(attempt);
        drop(attempts);
        event.outcome = Some(StatusCode::SERVICE_UNAVAILABLE.as_u16());
        event.classification.error = ErrorCode::from_status(StatusCode::SERVICE_UNAVAILABLE);
        event.details.insert("not_run".into(), true.into());
        Some(BoundedEvent::new(event))
    }

    /// Makes a `started` event durable for a gRPC call whose end is still to come, if it has none: no byte of its answer
    /// leaves without an event. The error is the id of an event that is not durable.
    pub(super) async fn start_call(
        &mut self,
        event: &mut AuditEvent,
        decided: &RecordDecision,
        transaction: Option<TransactionId>,
    ) -> Result<(), EventId> {
        let attempt = self.claim.attempt();
        if self.claim.lock()[attempt].started.is_some() {
            return Ok(());
        }
        let mut started = Box::new(event.clone());
        let later = AuditEvent::new(event.event_type.clone());
        // The end has the later id, unless it has got its id in a transaction.
        let id_of = if transaction.is_none() { &mut *event } else { &mut *started };
        (id_of.event_id, id_of.created_at) = (later.event_id, later.created_at);
        started.phase = Phase::Started;
        started.outcome = None;
        started.details = Details::new();
        started.request.duration_us = None;
        let event_id = started.event_id;
        event.request.started_event_id = Some(event_id);
        let fail_mode = decided.fail_mode;
        self.claim.lock()[attempt].started = Some(StartedEvent {
            event_id,
            created_at: started.created_at,
            event_type: started.event_type.clone(),
            fail_mode,
            body_end: true,
            is_durable: true,
        });
        let wait = self.claim.begin_wait();
        let written = self.shared.log.write(BoundedEvent::new(started), wait.deadline(), IfRefused::Leave).await;
        drop(wait);
        match written {
            Err(_) if fail_mode != FailMode::Open => Err(event_id),
            Err(_) => {
                if let Some(started) = &mut self.claim.lock()[attempt].started {
                    started.is_durable = false;
                }
                self.shared.log.count_unrecorded();
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// The fail mode of a `started` event: open only if every write-ahead rule of the request is.
fn start_fail_mode(policy: &AuditPolicy, rules: MatchingRules) -> FailMode {
    let ahead = rules.iter().map(|index| policy.rule(index)).filter(|rule| rule.is_write_ahead());
    ahead.map(|rule| rule.fail_mode).find(|mode| *mode != FailMode::Open).unwrap_or(FailMode::Open)
}
