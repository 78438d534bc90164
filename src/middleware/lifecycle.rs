//! The lifecycle of one audited request, from its arrival to the release of its response.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::body_error::BodyError;
use super::cancellable::Cancellable;
use super::end_claim::EndClaim;
use super::handler_end::{HandlerEnd, LifecycleOutput};
use super::request_span::{RequestSpan, STARTED_EVENT_ID};
use super::scoped_future::{ScopedFuture, instrument};
use crate::capture::scope::{RequestFingerprint, Scope};
use crate::capture::{AuditContext, LayerState, Protocol};
use crate::writer::InFlightGuard;

/// The lifecycle of one audited request. It owns everything it needs, so that any task can poll it to its end.
pub(super) struct RequestLifecycle {
    pub(super) shared: Arc<LayerState>,
    pub(super) claim: EndClaim,
    pub(super) protocol: Protocol,
    /// Absent where the layer has not looked at the clock.
    pub(super) arrived: Option<Instant>,
    pub(super) span: RequestSpan,
    /// Keeps a closing log waiting.
    pub(super) in_flight: Option<InFlightGuard>,
}

/// A boxed lifecycle.
pub(super) type BoxedLifecycle<R, E> = Pin<Box<dyn Future<Output = LifecycleOutput<R, E>> + Send>>;

impl RequestLifecycle {
    pub(super) fn new(
        shared: &Arc<LayerState>,
        context: AuditContext,
        protocol: Protocol,
        arrived: Option<Instant>,
        span: RequestSpan,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            claim: EndClaim::new(context),
            protocol,
            arrived,
            span,
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
        if !self.span.is_none()
            && let Some(event_id) = self.claim.started_event_id()
        {
            self.span.record(STARTED_EVENT_ID, event_id);
        }
        let mut slot = Scope::Held(self.claim.clone(), RequestFingerprint::NONE);
        match instrument(&mut slot, || self.span.call(|| service.call(request))) {
            Ok(future) => self.run(ScopedFuture::new(future, slot)).await,
            Err(panic) => self.finish(HandlerEnd::Panic(panic)).await,
        }
    }

    /// Runs a handler that was called, records its end and releases the response.
    ///
    /// Chained, not awaited: an `async` block would have room for the handler and for the steps after it at the same time.
    pub(super) fn run<F, R, E>(self, handler: ScopedFuture<F>) -> impl Future<Output = LifecycleOutput<R, E>> + Send
    where
        F: Future<Output = Result<Response<R>, E>> + Send,
        R: Body + Send + 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
    {
        Cancellable::new(handler).then(|result| self.finish(result.map_or(HandlerEnd::Dropped, HandlerEnd::of)))
    }
}
