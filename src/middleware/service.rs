//! The service of an audit layer.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::body::AuditBody;
use super::body_error::BodyError;
use super::future::ResponseFuture;
use super::handler_end::HandlerEnd;
#[cfg(feature = "route-coverage")]
use super::layer_probe;
use super::lifecycle::{BoxedLifecycle, RequestLifecycle};
use super::request_span::RequestSpan;
use super::scoped_future::{ScopedFuture, instrument};
use crate::capture::scope::{self, RequestFingerprint, Scope};
use crate::capture::{AttemptStage, AuditContext, KeptHead, LayerState, WithheldResponse, path_and_query, sent};
use crate::policy::MatchingRules;
use crate::writer::LogId;

/// The service that [`AuditLayer`](super::AuditLayer) makes.
///
/// Readiness is that of the inner service, and so is the error type.
pub struct AuditService<S> {
    inner: S,
    config: Option<Arc<LayerState>>,
}

impl<S> AuditService<S> {
    pub(super) fn new(inner: S, shared: Option<Arc<LayerState>>) -> Self {
        #[cfg(feature = "route-coverage")]
        let shared = layer_probe::reply(shared);
        Self { inner, config: shared }
    }
}

impl<S: Clone> Clone for AuditService<S> {
    fn clone(&self) -> Self {
        // The inner one first: a probe expects the innermost layer first.
        let inner = self.inner.clone();
        Self::new(inner, self.config.clone())
    }
}

impl<S, B, R> Service<Request<B>> for AuditService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    type Response = Response<AuditBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(shared) = &self.config else {
            return ResponseFuture::disabled(self.inner.call(request));
        };
        #[cfg(feature = "route-coverage")]
        if let Some(stand_in) = &shared.probe_stand_in {
            let goes_on = stand_in.observe(request.uri().path());
            return if goes_on {
                ResponseFuture::disabled(self.inner.call(request))
            } else {
                ResponseFuture::pending()
            };
        }
        let rules = shared.policy.matching_rules(request.method(), request.uri().path());
        let target = sent(request.uri(), request.extensions());
        let around = Around::of(&request, target);
        if rules.is_empty() {
            shared.unmatched_requests.note(request.method());
            if around.is_named(shared.log_id, shared.inspects_responses) && !shared.inspects_responses {
                // The layer around this one records it.
                return ResponseFuture::disabled(self.inner.call(request));
            }
            let head = KeptHead::of(request.method(), target, request.headers(), request.extensions());
            let mut slot = around.slot(shared, &mut request);
            return match instrument(&mut slot, || self.inner.call(request)) {
                Ok(future) => ResponseFuture::unmatched(ScopedFuture::new(future, slot), head),
                Err(panic) => ResponseFuture::panicked(slot, head, panic),
            };
        }
        shared.unmatched_requests.note_match();
        let arrived = Instant::now();
        let write_ahead = shared.policy.first_write_ahead(rules);
        let head = KeptHead::of(request.method(), target, request.headers(), request.extensions());
        let protocol = head.protocol();
        let context = around.context(shared, head, rules);
        request.extensions_mut().insert(context.clone());
        if let Some(trace_id) = shared.trace_id() {
            context.trace_id(trace_id);
        }
        if shared.policy.captures(rules) {
            context.capture_parts(request.headers(), request.uri());
        }
        let span = RequestSpan::open();
        let lifecycle = RequestLifecycle::new(shared, context.clone(), protocol, Some(arrived), span);
        if let Some(rule) = write_ahead {
            // The service that is ready is the one to call; a clone takes its place.
            let next = self.inner.clone();
            let service = std::mem::replace(&mut self.inner, next);
            return ResponseFuture::audited(
                Box::pin(lifecycle.run_write_ahead(rule, service, request)),
                context,
                false,
            );
        }
        if shared.policy.is_fail_closed(rules)
            && let Some(event_id) = shared.log.refuse_if_closed()
        {
            let refusal = WithheldResponse { event_id, has_run: false };
            return ResponseFuture::audited(Box::pin(ready(lifecycle.withhold(refusal))), context, false);
        }
        if shared.policy.is_fail_closed(rules) && context.lock().is_out_of_time(context.attempt()) {
            let refusal = lifecycle.refuse_late();
            return ResponseFuture::audited(Box::pin(ready(lifecycle.withhold(refusal))), context, false);
        }
        context.begin();
        // Called at once: anything that the handler does within the call belongs to the request.
        let mut slot = Scope::Held(context.clone(), RequestFingerprint::NONE);
        let lifecycle: BoxedLifecycle<R, S::Error> =
            match instrument(&mut slot, || lifecycle.span.call(|| self.inner.call(request))) {
                Ok(future) => Box::pin(lifecycle.run(ScopedFuture::new(future, slot))),
                Err(panic) => Box::pin(lifecycle.finish(HandlerEnd::Panic(panic))),
            };
        ResponseFuture::audited(lifecycle, context, true)
    }
}

/// The layer around this one, of any log, that has seen the same request.
///
/// Two requests are the same on evidence only. Method and target are equal, and the context has come along in the
/// extensions; or, where the layer around has made no context, the target lies at the same address, there are no fewer
/// extensions, and the call comes from within its scope. Any other request of a handler to its own process is another one.
struct Around {
    fingerprint: RequestFingerprint,
    seen: Seen,
}

enum Seen {
    /// The layer's scope is open on this thread.
    InScope,
    /// The layer's context came with the request.
    WithRequest(AuditContext),
    ByNobody {
        /// The context of another request is in the extensions of this one.
        has_other: bool,
    },
}

impl Around {
    /// `target`: the target as the client sent it.
    fn of<B>(request: &Request<B>, target: &Uri) -> Self {
        let target = path_and_query(target);
        let fingerprint = RequestFingerprint::of(request, target);
        if scope::is_innermost(fingerprint) {
            return Self { fingerprint, seen: Seen::InScope };
        }
        let seen = match request.extensions().get::<AuditContext>() {
            Some(context) if context.is_of(request.method(), target) => Seen::WithRequest(context.clone()),
            other => Seen::ByNobody { has_other: other.is_some() },
        };
        Self { fingerprint, seen }
    }

    /// Returns true if the rules of a layer of this log around this one name the request. `limits`: this layer has its own
    /// limit of results.
    fn is_named(&self, log: LogId, limits: bool) -> bool {
        match &self.seen {
            Seen::InScope => scope::is_named(self.fingerprint, log, limits),
            Seen::WithRequest(context) => context.is_named_around(log, limits),
            Seen::ByNobody { .. } => false,
        }
    }

    /// The scope of a layer whose rules do not name the request.
    fn slot<B>(self, shared: &Arc<LayerState>, request: &mut Request<B>) -> Scope {
        match self.seen {
            Seen::InScope | Seen::ByNobody { has_other: false } => Scope::vacant(shared, self.fingerprint, None),
            Seen::WithRequest(context) => Scope::vacant(shared, self.fingerprint, Some(context)),
            Seen::ByNobody { has_other: true } => {
                // The handler's words belong to this request, not to the other one.
                let context = AuditContext::unmatched(Arc::clone(shared), None, None);
                request.extensions_mut().insert(context.clone());
                Scope::Held(context, self.fingerprint)
            }
        }
    }

    /// The context of a layer whose rules name the request.
    fn context(self, shared: &Arc<LayerState>, head: KeptHead, rules: MatchingRules) -> AuditContext {
        let around = match self.seen {
            Seen::InScope => scope::current(),
            Seen::WithRequest(context) => Some(context),
            Seen::ByNobody { .. } => None,
        };
        let shared = Arc::clone(shared);
        match around {
            Some(around) => around.within(shared, Some(head), rules, AttemptStage::Waiting),
            None => AuditContext::new(shared, Some(head), rules, AttemptStage::Waiting),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for AuditService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
