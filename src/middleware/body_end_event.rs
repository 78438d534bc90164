//! The event at the end of a body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::grpc_call_end::GrpcCallEnd;
use super::request_span::{EVENT_ID, RequestSpan};
use crate::capture::AuditContext;
use crate::event::{AuditEvent, BoundedEvent, EventId};
use crate::policy::FailMode;
use crate::store::TransactionId;
use crate::writer::{AuditLog, InFlightGuard, RecordError};

/// The event at the end of a body.
pub(super) struct BodyEndEvent {
    pub(super) log: AuditLog,
    pub(super) span: RequestSpan,
    /// The request's context: the handler may add facts while it streams.
    pub(super) context: AuditContext,
    pub(super) state: WriteState,
    pub(super) fail_mode: FailMode,
    /// Absent where the layer has not looked at the clock.
    pub(super) arrived: Option<Instant>,
    /// The announced length: the client takes the body for complete when it has that much.
    pub(super) length: Option<u64>,
    /// The number of bytes that have left.
    pub(super) bytes: u64,
    pub(super) in_flight: Option<InFlightGuard>,
    /// Present for a gRPC call whose end is not known yet.
    pub(super) call: Option<OpenCall>,
}

/// A gRPC call whose end is not known yet. The rules decide at its end.
pub(super) struct OpenCall {
    pub(super) result_count: Option<u64>,
}

pub(super) enum WriteState {
    /// With the transaction that the handler wrote the event in.
    Waiting(Box<AuditEvent>, Option<TransactionId>),
    Writing(Pin<Box<dyn Future<Output = Result<(), RecordError>> + Send>>),
    Written,
}

impl BodyEndEvent {
    pub(super) fn is_written(&self) -> bool {
        matches!(self.state, WriteState::Written)
    }

    /// The detail of a body that has ended without an error.
    pub(super) fn completeness(&self) -> &'static str {
        let is_short = self.call.is_none() && self.length.is_some_and(|length| self.bytes < length);
        if is_short { "incomplete" } else { "complete" }
    }

    /// Begins to write the event of a body, and of a call, that has ended so. No frame waits for it any longer than the
    /// request has time left.
    pub(super) fn begin(&mut self, body_end: &'static str, end: GrpcCallEnd) {
        self.begin_within(self.context.time_left(), body_end, end);
    }

    /// Writes the event of a body that the client waits for no longer, on the log's runtime.
    pub(super) fn write_detached(&mut self, body_end: &'static str, end: GrpcCallEnd) {
        self.context.detach();
        self.begin_within(self.log.write_timeout(), body_end, end);
        if let WriteState::Writing(write) = std::mem::replace(&mut self.state, WriteState::Written) {
            let in_flight = self.in_flight.take();
            let write = async move {
                let _guard = in_flight;
                // The writer logs a failure; no client waits for it.
                let _ = write.await;
            };
            // Its handler has ended: there is nothing to cancel.
            self.log.spawn(write, Some(|| {}));
        }
    }

    fn begin_within(&mut self, timeout: Duration, body_end: &'static str, end: GrpcCallEnd) {
        let (mut event, transaction) = match std::mem::replace(&mut self.state, WriteState::Written) {
            WriteState::Waiting(event, transaction) => (event, transaction),
            // A write that has begun goes on.
            other => {
                self.state = other;
                return;
            }
        };
        if transaction.is_none() {
            // The client decides how long a body takes, and new events are looked for by their time: the sealer and a reader
            // that follows the log would find one late that had the time of the head.
            (event.event_id, event.created_at) = EventId::new_with_time();
        }
        self.span.record(EVENT_ID, event.event_id);
        self.context.amend(&mut event);
        event.details.insert("body_bytes".into(), self.bytes.into());
        event.details.insert("body_end".into(), body_end.into());
        if let Some(call) = &self.call {
            end.describe(&mut event);
            if let Some(decided) = end.decided(&self.context, call.result_count) {
                event.event_type = decided.event_type;
                self.fail_mode = decided.fail_mode;
            }
        }
        event.request.duration_us = self.arrived.and_then(|arrived| u64::try_from(arrived.elapsed().as_micros()).ok());
        let event = BoundedEvent::new(event);
        let log = self.log.clone();
        let deadline = Instant::now() + timeout;
        self.state = WriteState::Writing(match transaction {
            None => {
                let context = self.context.clone();
                Box::pin(async move { log.write_end(event, deadline, || context.is_detached()).await })
            }
            Some(transaction) => {
                Box::pin(async move { log.write_or_await_transaction(event, deadline, transaction).await })
            }
        });
    }

    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        let WriteState::Writing(write) = &mut self.state else { return Poll::Ready(Ok(())) };
        let result = ready!(write.as_mut().poll(cx));
        self.state = WriteState::Written;
        self.in_flight = None;
        Poll::Ready(match result {
            Err(_) if self.fail_mode == FailMode::Open => {
                self.log.count_unrecorded();
                Ok(())
            }
            result => result,
        })
    }
}

/// Writes the event of a body that is dropped before its end.
impl Drop for BodyEndEvent {
    fn drop(&mut self) {
        // A body that panics is dropped while the thread unwinds.
        if std::thread::panicking() {
            self.write_detached("panic", GrpcCallEnd::Broken);
        } else {
            self.write_detached("dropped", GrpcCallEnd::Cancelled);
        }
    }
}
