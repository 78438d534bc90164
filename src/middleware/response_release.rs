//! The end of a handler: its event, and then the release of its response or of the one that replaces it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::Extensions;
use http_body::Body;
use tokio::time::Instant;

use super::body_end_event::{BodyEndEvent, OpenCall, WriteState};
use super::body_error::BodyError;
use super::event_disposition::EventDisposition;
use super::grpc_call_end::GrpcCallEnd;
use super::handler_end::{BodySize, HandlerEnd, LifecycleOutput};
use super::lifecycle::RequestLifecycle;
use super::request_span::EVENT_ID;
use super::{not_recorded, response_mark, trailers_only};
use crate::capture::{AttemptStage, Protocol, WithheldResponse};
use crate::event::{BoundedEvent, EventId};
use crate::policy::FailMode;
use crate::store::TransactionId;

/// The step after the decision about an event.
enum NextStep<R, E> {
    /// Nothing is to be written before the response leaves.
    Leave(LifecycleOutput<R, E>),
    /// Write the event, and then release the response.
    Write(RequestLifecycle, HandlerEnd<R, E>, EndEvent),
}

/// The event of a handler's end, to be written before the response leaves.
struct EndEvent {
    event: BoundedEvent,
    /// The handler's transaction, with the event in it.
    transaction: Option<TransactionId>,
    fail_mode: FailMode,
}

impl RequestLifecycle {
    /// Records the end of the handler and releases the response, or the one that replaces it.
    ///
    /// Two futures one after the other: one alone would have room for the decision while the event is written.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for each argument twice")]
    pub(super) fn finish<R, E>(self, end: HandlerEnd<R, E>) -> impl Future<Output = LifecycleOutput<R, E>> + Send
    where
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
    {
        async move {
            let (lifecycle, end, EndEvent { event, transaction, fail_mode }) = match self.prepare(end).await {
                NextStep::Leave(output) => return output,
                NextStep::Write(lifecycle, end, event) => (lifecycle, end, event),
            };
            let event_id = event.event_id;
            match lifecycle.write(event, transaction).await {
                Ok(()) => lifecycle.release(end, Some(event_id), None),
                Err(()) => lifecycle.answer_without_event(end, event_id, fail_mode),
            }
        }
    }

    /// Decides about the end of the handler, and takes every step but the write of its event.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for each argument twice")]
    fn prepare<R, E>(mut self, mut end: HandlerEnd<R, E>) -> impl Future<Output = NextStep<R, E>> + Send
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
            if let EventDisposition::Awaited = decision {
                // Boxed here and below: few requests need these futures, and all would have room for them.
                Box::pin(self.await_inner_attempts()).await;
                decision = self.decide(&end, &mut facts, false);
            }
            if let EventDisposition::Record(.., Some(written)) | EventDisposition::Nothing(Some(written)) = decision {
                match Box::pin(self.is_committed(written, end.status())).await {
                    Ok(true) => {
                        self.span.record(EVENT_ID, written.event_id);
                        return NextStep::Leave(self.release(end, Some(written.event_id), None));
                    }
                    Ok(false) => {}
                    Err(()) => {
                        if let EventDisposition::Record(event, ..) = decision {
                            self.shared.log.await_transaction(event, written.transaction);
                        }
                        let output = self.answer_without_event(end, written.event_id, written.fail_mode);
                        return NextStep::Leave(output);
                    }
                }
            }
            let (event, decided, written) = match decision {
                EventDisposition::Record(event, decided, written) => (event, decided, written),
                EventDisposition::Refused(refusal) => return NextStep::Leave(self.withhold(refusal)),
                EventDisposition::IsRefusal(refusal) => return NextStep::Leave(self.pass_refusal(end, refusal)),
                EventDisposition::Told | EventDisposition::Awaited => {
                    return NextStep::Leave(self.release(end, None, None));
                }
                EventDisposition::Nothing(_) => return NextStep::Leave(self.pass(end)),
            };
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
                    span: self.span.share(),
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
                    end_of_body.write_detached("dropped", GrpcCallEnd::REFUSED);
                    return NextStep::Leave(self.answer_without_event(end, started, decided.fail_mode));
                }
                let started = self.claim.lock()[self.claim.attempt()].started.clone();
                let receipt = started.filter(|started| started.is_durable).map(|started| started.event_id);
                if receipt.is_none() && self.gives_receipts() {
                    end.give_receipt(None);
                }
                return NextStep::Leave(self.release(end, receipt, Some(end_of_body)));
            }
            self.span.record(EVENT_ID, event.event_id);
            NextStep::Write(self, end, EndEvent { event, transaction, fail_mode: decided.fail_mode })
        }
    }

    /// Waits for a layer within that is about to record the end. Within the write timeout: its future may be unpolled.
    async fn await_inner_attempts(&mut self) {
        let wait = self.claim.begin_wait();
        let timeout = wait.deadline().saturating_duration_since(Instant::now());
        self.shared.log.within(timeout, self.claim.inner_attempts_settled()).await;
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

    /// Settles the attempt as recorded and releases the handler's response. `receipt`: a durable event of the request.
    fn release<R, E>(
        mut self,
        mut end: HandlerEnd<R, E>,
        receipt: Option<EventId>,
        end_of_body: Option<BodyEndEvent>,
    ) -> LifecycleOutput<R, E>
    where
        R: Body,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        self.settle(AttemptStage::Told(end.kind()), end.extensions_mut());
        if receipt.is_some() && self.gives_receipts() {
            end.give_receipt(receipt);
        }
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

    /// Releases the refusal of a layer within. What a layer further out sees is still one, whatever is made of it in between.
    fn pass_refusal<R, E>(mut self, mut end: HandlerEnd<R, E>, refusal: WithheldResponse) -> LifecycleOutput<R, E>
    where
        R: Body,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
    {
        self.settle(AttemptStage::Refused(refusal), end.extensions_mut());
        drop(self);
        end.release(None)
    }

    /// Answers a request whose event is not known to be durable, by the fail mode.
    fn answer_without_event<R, E>(
        mut self,
        mut end: HandlerEnd<R, E>,
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
            if self.gives_receipts() {
                end.give_receipt(None);
            }
            return self.release(end, None, None);
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

    /// Returns true if the layer gives receipts, or, for a layer of a single route, the one around it.
    fn gives_receipts(&self) -> bool {
        self.shared.gives_receipts
            || (self.shared.inherits_settings && self.claim.lock().gives_receipts(self.claim.attempt()))
    }

    /// Settles the attempt, and marks the response if there may be a layer further out that knows the request.
    fn settle(&mut self, stage: AttemptStage, response: Option<&mut Extensions>) {
        let has_others = self.claim.settle(stage);
        if has_others && let Some(extensions) = response {
            response_mark::put(extensions, self.shared.log_id, &self.claim);
        }
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
}
