//! The service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::course::{BoxedCourse, Course, End};
use super::future::ResponseFuture;
#[cfg(feature = "axum")]
use super::roll_call;
use super::scoped::{Scoped, scoped};
use super::{AuditBody, BodyError};
use crate::capture::scope::{self, LogId, Slot};
use crate::capture::{AuditContext, Override, RequestHead, Shared};

/// The service that [`AuditLayer`](super::AuditLayer) makes.
///
/// Readiness is that of the inner service, and so is the error type.
pub struct AuditService<S> {
    inner: S,
    shared: Option<Arc<Shared>>,
}

impl<S> AuditService<S> {
    pub(super) fn new(inner: S, shared: Option<Arc<Shared>>) -> Self {
        #[cfg(feature = "axum")]
        let shared = roll_call::answer(shared);
        Self { inner, shared }
    }
}

impl<S: Clone> Clone for AuditService<S> {
    fn clone(&self) -> Self {
        // The inner one first: a roll is called from the inside out.
        let inner = self.inner.clone();
        Self::new(inner, self.shared.clone())
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
        let Some(shared) = &self.shared else {
            return ResponseFuture::off(self.inner.call(request));
        };
        #[cfg(feature = "axum")]
        if let Some(stand_in) = &shared.stand_in {
            let goes_on = stand_in.sees(request.uri().path());
            return if goes_on { ResponseFuture::off(self.inner.call(request)) } else { ResponseFuture::never() };
        }
        let candidates = shared.policy.candidates(request.method(), request.uri().path());
        let around = around(&request, shared.log_id);
        if candidates.is_empty() {
            if around.is_some() {
                // The layer around this one looks at the response.
                return ResponseFuture::off(self.inner.call(request));
            }
            // Two ways, because room for a head that is not there would be moved all the same.
            return if shared.watches_responses {
                let head = head_of(&request);
                ResponseFuture::watched(watched(shared, || self.inner.call(request)), Some(head))
            } else {
                ResponseFuture::watched(watched(shared, || self.inner.call(request)), None)
            };
        }
        let shared = Arc::clone(shared);
        let context = match around {
            Some(around) => {
                let context = around.context().unwrap_or_else(|| AuditContext::new(Arc::clone(&shared), None));
                let mut data = context.lock();
                data.head.get_or_insert_with(|| head_of(&request));
                data.inner = Some(Override { policy: shared.policy.clone(), candidates });
                drop(data);
                context
            }
            None => {
                let context = AuditContext::new(Arc::clone(&shared), Some(head_of(&request)));
                context.lock().candidates = candidates;
                context
            }
        };
        request.extensions_mut().insert(context.clone());
        let course = Course::new(&shared, context, candidates);
        let log = shared.log.clone();
        if course.write_ahead.is_some() {
            // The service that was made ready is the one to be called; a clone takes its place.
            let next = self.inner.clone();
            let service = std::mem::replace(&mut self.inner, next);
            return ResponseFuture::audited(Box::pin(course.run_ahead(service, request)), log, false);
        }
        // Called at once, so that whatever it does within the call is part of the request.
        let mut slot = Slot::Held(course.context.clone());
        let course: BoxedCourse<R, S::Error> = match scoped(&mut slot, || self.inner.call(request)) {
            Ok(future) => Box::pin(course.run(Scoped::new(future, slot))),
            Err(panic) => Box::pin(course.finish(End::Panic(panic))),
        };
        ResponseFuture::audited(course, log, true)
    }
}

/// Calls the inner service within a scope that has no context yet. Nothing is to be done about a panic of the call: the
/// scope ends with it.
fn watched<F>(shared: &Arc<Shared>, call: impl FnOnce() -> F) -> Scoped<F> {
    let entered = scope::enter(Slot::Vacant(Arc::clone(shared)));
    let future = call();
    Scoped::new(future, entered.leave())
}

/// A layer of the same log around this one.
enum Around {
    /// On this task.
    Scope,
    /// Further away: its context came with the request.
    Request(AuditContext),
}

fn around<B>(request: &Request<B>, log: LogId) -> Option<Around> {
    if scope::is_within(log) {
        return Some(Around::Scope);
    }
    let context = request.extensions().get::<AuditContext>().filter(|context| context.is_of(log))?;
    Some(Around::Request(context.clone()))
}

impl Around {
    fn context(self) -> Option<AuditContext> {
        match self {
            Self::Scope => scope::current(),
            Self::Request(context) => Some(context),
        }
    }
}

fn head_of<B>(request: &Request<B>) -> RequestHead {
    RequestHead::of(request.method(), request.uri(), request.headers(), request.extensions())
}

impl<S: fmt::Debug> fmt::Debug for AuditService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
