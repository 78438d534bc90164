//! The lifecycle of one audited request, from its arrival to the release of its response.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Extensions, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::body_end_event::{BodyEndEvent, OpenCall, WriteState};
use super::body_error::BodyError;
use super::call_end::{self, CallEnd};
use super::cancellable::Cancellable;
use super::handler_end::{BodySize, HandlerEnd, LifecycleOutput};
use super::instrumented::{Instrumented, instrument};
use super::record_decision::{RecordDecision, add_query_counts, decide};
use super::{not_recorded, response_mark, trailers_only};
use crate::capture::scope::{RequestFingerprint, Scope};
use crate::capture::{
    AttemptRelation, AttemptStage, AuditContext, EndKind, LayerConfig, Protocol, ResultCount, StartedEvent,
    TransactionalEvent, WithheldResponse,
};
use crate::event::{AuditEvent, BoundedEvent, Details, ErrorCode, EventId, Phase};
use crate::policy::{AuditPolicy, FailMode, MatchingRules, RequestOutcome};
use crate::store::TransactionId;
use crate::writer::{IfRefused, InFlightGuard};

/// The lifecycle of one audited request. It owns everything it needs, so that any task can poll it to its end.
pub(super) struct RequestLifecycle {
    pub(super) shared: Arc<LayerConfig>,
    pub(super) claim: EndClaim,
    protocol: Protocol,
    /// Absent where the layer has not looked at the clock.
    arrived: Option<Instant>,
    /// Keeps a closing log waiting.
    in_flight: Option<InFlightGuard>,
}

/// A boxed lifecycle.
pub(super) type BoxedLifecycle<R, E> = Pin<Box<dyn Future<Output = LifecycleOutput<R, E>> + Send>>;

/// The claim of a layer to record the end of its attempt. If it is dropped unsettled, the attempt becomes silent, so that
/// no layer waits for it.
pub(super) struct EndClaim {
    context: AuditContext,
    is_settled: bool,
}

impl EndClaim {
    /// Settles the attempt. Returns true if the request has others.
    fn settle(&mut self, stage: AttemptStage) -> bool {
        self.is_settled = true;
        self.context.settle(stage)
    }
}

impl std::ops::Deref for EndClaim {
    type Target = AuditContext;

    fn deref(&self) -> &AuditContext {
        &self.context
    }
}

impl Drop for EndClaim {
    fn drop(&mut self) {
        if !self.is_settled {
            self.context.settle(AttemptStage::Silent);
        }
    }
}

/// The fail mode of a `started` event: open only if every write-ahead rule of the request is.
fn start_fail_mode(policy: &AuditPolicy, rules: MatchingRules) -> FailMode {
    let ahead = rules.iter().map(|index| policy.rule(index)).filter(|rule| rule.is_write_ahead());
    ahead.map(|rule| rule.fail_mode).find(|mode| *mode != FailMode::Open).unwrap_or(FailMode::Open)
}

/// The decision about the end of a handler.
enum EventDecision {
    /// A layer within is about to record it.
    Awaited,
    /// A layer within has recorded it.
    Told,
    /// A layer within could not record it, and a layer in between has made another response of its refusal.
    Refused(WithheldResponse),
    /// No rule records it. The handler may have written its event in a transaction.
    Nothing(Option<TransactionalEvent>),
    /// Write this event, unless the handler's transaction with it is committed.
    Record(BoundedEvent, RecordDecision, Option<TransactionalEvent>),
}

/// The facts that a response has about its request.
#[derive(Default)]
struct ResponseFacts {
    details: Details,
    result_count: Option<u64>,
    mark: Option<usize>,
}

impl RequestLifecycle {
    pub(super) fn new(
        shared: &Arc<LayerConfig>,
        context: AuditContext,
        protocol: Protocol,
        arrived: Option<Instant>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            claim: EndClaim { context, is_settled: false },
            protocol,
            arrived,
            in_flight: shared.log.begin_request(),
        }
    }

    /// Writes the `started` event of this rule, and only then calls the handler.
    pub(super) async fn run_write_ahead<S, B, R>(
        mut self,
        rule: usize,
        mut service: S,
        request: Request<B>,
    ) -> LifecycleOutput<R, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Future: Send,
        S::Error: Send,
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        if let Err(refusal) = self.start(rule).await {
            return self.withhold(refusal);
        }
        let mut slot = Scope::Held(self.claim.clone(), RequestFingerprint::NONE);
        match instrument(&mut slot, || service.call(request)) {
            Ok(future) => self.run(Instrumented::new(future, slot)).await,
            Err(panic) => self.finish(HandlerEnd::Panic(panic)).await,
        }
    }

    /// Runs a handler that was called, records its end and releases the response.
    ///
    /// Chained, not awaited: an `async` block would have room for the handler and for the steps after it at the same time.
    pub(super) fn run<F, R, E>(self, handler: Instrumented<F>) -> impl Future<Output = LifecycleOutput<R, E>> + Send
    where
        F: Future<Output = Result<Response<R>, E>> + Send,
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
    {
        Cancellable::new(handler).then(|result| self.finish(result.map_or(HandlerEnd::Dropped, HandlerEnd::of)))
    }

    /// Makes the `started` event durable and marks the handler as about to be called. An error: it must not be.
    async fn start(&mut self, rule_at: usize) -> Result<(), WithheldResponse> {
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
                body_end: policy.rule(rule_at).is_body_end(),
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
        let Some(event) = self.end_unrun() else {
            return Err(WithheldResponse { event_id: EventId::new(), has_run: false });
        };
        let refusal = WithheldResponse { event_id: event.event_id, has_run: false };
        if is_late {
            // The client waits for the answer: the log writes the end without the request.
            self.shared.log.refuse_late(refusal.event_id);
            self.shared.log.write_later(event);
        } else {
            // No client waits for it, so it has a whole write timeout.
            let deadline = Instant::now() + self.shared.log.write_timeout();
            if self.shared.log.write_end(event, deadline, || true).await.is_ok() {
                self.claim.settle(AttemptStage::Told(EndKind::Dropped));
            }
        }
        Err(refusal)
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

    /// The answer to a request whose event could not be written.
    pub(super) fn withhold<R, E>(mut self, mut refusal: WithheldResponse) -> LifecycleOutput<R, E> {
        // An earlier attempt may have done what this one has not: it is not safe to try again.
        refusal.has_run |= self.claim.lock().has_run_elsewhere(self.claim.attempt());
        let mut response = match (self.protocol, refusal.has_run) {
            (Protocol::Grpc, _) => trailers_only::refused(refusal),
            (Protocol::Http, true) => not_recorded::possibly_executed(refusal.event_id),
            (Protocol::Http, false) => not_recorded::not_executed(refusal.event_id),
        };
        self.settle(AttemptStage::Refused(refusal), Some(response.extensions_mut()));
        Some(Ok(response))
    }

    /// Records the end of the handler and releases the response, or the one that replaces it.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for each argument twice")]
    pub(super) fn finish<R, E>(
        mut self,
        mut end: HandlerEnd<R, E>,
    ) -> impl Future<Output = LifecycleOutput<R, E>> + Send
    where
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
    {
        async move {
            let mut facts = self.facts(&end);
            if facts.mark.is_none() && end.is_unread_call() {
                end = Box::pin(end.read_ahead()).await;
            }
            let body_size = end.inspect_body();
            let mut decision = self.decide(&end, &mut facts, true);
            if let EventDecision::Awaited = decision {
                // Boxed here and below: few requests need these futures, and all would have room for them.
                Box::pin(self.await_inner_attempts()).await;
                decision = self.decide(&end, &mut facts, false);
            }
            if let EventDecision::Record(.., Some(written)) | EventDecision::Nothing(Some(written)) = decision {
                match Box::pin(self.is_committed(written, end.status())).await {
                    Ok(true) => return self.release(end, None),
                    Ok(false) => {}
                    Err(()) => {
                        if let EventDecision::Record(event, ..) = decision {
                            self.shared.log.await_transaction(event, written.transaction);
                        }
                        return self.answer_without_event(end, written.event_id, written.fail_mode);
                    }
                }
            }
            let (event, decided, written) = match decision {
                EventDecision::Record(event, decided, written) => (event, decided, written),
                EventDecision::Refused(refusal) => return self.withhold(refusal),
                EventDecision::Told | EventDecision::Awaited => return self.release(end, None),
                EventDecision::Nothing(_) => return self.pass(end),
            };
            let event_id = event.event_id;
            let transaction = written.map(|written| written.transaction);
            let call = end.is_open_call().then_some(OpenCall { result_count: facts.result_count });
            let body_size = body_size.answering(event.resource.method.as_deref(), end.status());
            let length = if let BodySize::Streamed(length) = body_size { length } else { None };
            if call.is_some() || (decided.body_end && body_size != BodySize::None) {
                // The end of the body adds to it, and bounds it again.
                let mut event = event.into_inner();
                let is_started = match call {
                    Some(_) => Box::pin(self.start_call(&mut event, &decided, transaction)).await,
                    None => Ok(()),
                };
                let mut end_of_body = BodyEndEvent {
                    log: self.shared.log.clone(),
                    context: self.claim.clone(),
                    state: WriteState::Waiting(event, transaction),
                    fail_mode: decided.fail_mode,
                    arrived: self.arrived,
                    length,
                    bytes: 0,
                    in_flight: self.in_flight.take(),
                    call,
                };
                if let Err(started) = is_started {
                    // The client is refused now, and waits for no further event.
                    end_of_body.write_detached("dropped", CallEnd::REFUSED);
                    return self.answer_without_event(end, started, decided.fail_mode);
                }
                return self.release(end, Some(end_of_body));
            }
            match self.write(event, transaction).await {
                Ok(()) => self.release(end, None),
                Err(()) => self.answer_without_event(end, event_id, decided.fail_mode),
            }
        }
    }

    /// Makes a `started` event durable for a gRPC call whose end is still to come, if it has none: no byte of its answer
    /// leaves without an event. The error is the id of an event that is not durable.
    async fn start_call(
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
                self.shared.log.count_unrecorded();
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Waits for a layer within that is about to record the end. Within the write timeout: its future may be unpolled.
    async fn await_inner_attempts(&mut self) {
        let wait = self.claim.begin_wait();
        let timeout = wait.deadline().saturating_duration_since(Instant::now());
        self.shared.log.within(timeout, self.claim.inner_attempts_settled()).await;
    }

    /// Settles the attempt as recorded and releases the handler's response.
    fn release<R, E>(mut self, mut end: HandlerEnd<R, E>, end_of_body: Option<BodyEndEvent>) -> LifecycleOutput<R, E>
    where
        R: Body,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        self.settle(AttemptStage::Told(end.kind()), end.extensions_mut());
        drop(self);
        end.release(end_of_body)
    }

    /// Releases a response that the rules leave out. If they do not even name the request, the layers further out decide.
    fn pass<R, E>(mut self, mut end: HandlerEnd<R, E>) -> LifecycleOutput<R, E>
    where
        R: Body,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        let is_named = !self.claim.lock()[self.claim.attempt()].matching_rules.is_empty();
        if is_named {
            self.settle(AttemptStage::LeftOut(end.kind(), end.status()), end.extensions_mut());
        }
        drop(self);
        end.release(None)
    }

    /// Answers a request whose event is not known to be durable, by the fail mode.
    fn answer_without_event<R, E>(
        mut self,
        end: HandlerEnd<R, E>,
        event_id: EventId,
        fail_mode: FailMode,
    ) -> LifecycleOutput<R, E>
    where
        R: Body,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        if fail_mode == FailMode::Open {
            self.shared.log.count_unrecorded();
            return self.release(end, None);
        }
        let refusal = WithheldResponse { event_id, has_run: true };
        match end {
            HandlerEnd::Response(..) | HandlerEnd::Call(..) | HandlerEnd::Error(_) => {
                // Its drop is code of the app's, and the answer does not depend on it.
                drop(catch_unwind(AssertUnwindSafe(|| drop(end))));
                self.withhold(refusal)
            }
            // A panic continues as it would have; there is no response to withhold.
            end => {
                self.settle(AttemptStage::Refused(refusal), None);
                end.release(None)
            }
        }
    }

    /// Settles the attempt, and marks the response if there may be a layer further out that knows the request.
    fn settle(&mut self, stage: AttemptStage, response: Option<&mut Extensions>) {
        let has_others = self.claim.settle(stage);
        if has_others && let Some(extensions) = response {
            response_mark::put(extensions, self.shared.log_id, &self.claim);
        }
    }

    /// Reads the facts off the response. Before the lock is taken: the callback is the app's, and may use the context.
    fn facts<R, E>(&self, end: &HandlerEnd<R, E>) -> ResponseFacts {
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
    fn decide<R, E>(&self, end: &HandlerEnd<R, E>, facts: &mut ResponseFacts, waits: bool) -> EventDecision {
        let attempt = self.claim.attempt();
        let mut attempts = self.claim.lock();
        let written = attempts[attempt].written;
        let beside = match attempts.relation(attempt, facts.mark, (end.kind(), end.status()), waits) {
            AttemptRelation::Telling => {
                // To the layers further out, this layer is about to record it.
                attempts.tell(attempt);
                return EventDecision::Awaited;
            }
            // The handler has written this layer's event in a transaction.
            _ if written.is_some() => None,
            AttemptRelation::Told => return EventDecision::Told,
            AttemptRelation::LeftOut => return EventDecision::Nothing(None),
            AttemptRelation::Refused(refusal) => return EventDecision::Refused(refusal),
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
            Some(_) if end.is_open_call() => call_end::any_end(decide),
            Some(_) => decide(end.status(), end.is_abnormal()),
            None => decide(None, true),
        };
        let Some(decided) = decided else {
            if written.is_some() {
                attempts.claim(attempt);
            }
            return EventDecision::Nothing(written);
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
        EventDecision::Record(event, decided, written)
    }

    /// Writes an event within the time that the request has left. The writer logs the cause of a failure. `transaction`: the
    /// handler's, with the event in it.
    async fn write(&self, event: BoundedEvent, transaction: Option<TransactionId>) -> Result<(), ()> {
        let wait = self.claim.begin_wait();
        let deadline = wait.deadline();
        let log = &self.shared.log;
        let written = match transaction {
            None => log.write_end(event, deadline, || self.claim.is_detached()).await,
            // Boxed, because few requests have room for it to spare.
            Some(transaction) => Box::pin(log.write_or_await_transaction(event, deadline, transaction)).await,
        };
        written.map_err(|_| ())
    }
}
