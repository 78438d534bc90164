//! The future of a response.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::AuditBody;
use super::body_error::BodyError;
use super::handler_end::HandlerEnd;
use super::lifecycle::{BoxedLifecycle, RequestLifecycle};
use super::request_span::RequestSpan;
use super::scoped_future::{PanicPayload, ScopedFuture};
use crate::capture::scope::Scope;
use crate::capture::{AttemptStage, AuditContext, KeptHead, LayerState, Protocol, ResultCount};

pin_project! {
    /// The future of [`AuditService`](super::AuditService).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped early, an audited request continues on the log's runtime until its handler has ended and
    /// its event is written. A handler that still waits for its `started` event is not called any more: that event is
    /// ended by one with `not_run`. A request that no rule names is cancelled with the future; if its handler had declared
    /// an event type, its event is written with `aborted`.
    pub struct ResponseFuture<F, R, E>
    where
        R: Body,
        R: Send,
        R: 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
        E: 'static,
    {
        #[pin]
        way: Way<F, R, E>,
    }

    impl<F, R, E> PinnedDrop for ResponseFuture<F, R, E>
    where
        R: Body,
        R: Send,
        R: 'static,
        R::Data: From<Bytes>,
        R::Error: Into<BodyError>,
        E: Send,
        E: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            match this.project().way.project() {
                WayProj::Audited { lifecycle, context, has_begun } => {
                    // A future that was never polled has done nothing.
                    if let Some(lifecycle) = lifecycle.take()
                        && *has_begun
                        && let Some(shared) = context.layer()
                    {
                        context.detach();
                        let is_cancelled = context.cancel_with_outer();
                        let context = context.clone();
                        let cancel = (!is_cancelled).then_some(move || context.cancel());
                        shared.log.spawn(async move { drop(lifecycle.await) }, cancel);
                    }
                }
                WayProj::Watched { future, head } => {
                    if let Some(context) = declared_in(std::mem::take(future.slot()))
                        && let Some(shared) = context.layer()
                        && let Some(lifecycle) = unfinished_lifecycle::<R, E>(&context, head.take(), &shared)
                    {
                        // Its handler is gone: there is nothing to cancel.
                        shared.log.spawn(async move { drop(lifecycle.await) }, Some(|| {}));
                    }
                }
                WayProj::Off { .. } | WayProj::Never | WayProj::Over => {}
            }
        }
    }
}

pin_project! {
    #[project = WayProj]
    enum Way<F, R, E> {
        /// The log is off, or a layer further out records the request.
        Off { #[pin] future: F },
        /// No rule names the request: its response is inspected.
        Watched { #[pin] future: ScopedFuture<F>, head: Option<KeptHead> },
        /// A rule names the request, or its response is recorded all the same.
        Audited { lifecycle: Option<BoxedLifecycle<R, E>>, context: AuditContext, has_begun: bool },
        /// A stand-in of the route coverage: never ready.
        Never,
        Over,
    }
}

impl<F, R, E> ResponseFuture<F, R, E>
where
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
    E: Send + 'static,
{
    pub(super) fn disabled(future: F) -> Self {
        Self { way: Way::Off { future } }
    }

    #[cfg_attr(not(feature = "route-coverage"), expect(dead_code))]
    pub(super) fn pending() -> Self {
        Self { way: Way::Never }
    }

    pub(super) fn unmatched(future: ScopedFuture<F>, head: KeptHead) -> Self {
        Self { way: Way::Watched { future, head: Some(head) } }
    }

    /// A future whose handler has panicked when it was called.
    pub(super) fn panicked(slot: Scope, head: KeptHead, panic: PanicPayload) -> Self {
        match to_record(slot, None, &mut Some(head)) {
            Some(context) => Self { way: Way::recording(context, Protocol::Http, Err(panic)) },
            None => resume_unwind(panic),
        }
    }

    /// The future of an audited request. `has_begun`: its handler may have been called.
    pub(super) fn audited(lifecycle: BoxedLifecycle<R, E>, context: AuditContext, has_begun: bool) -> Self {
        Self { way: Way::Audited { lifecycle: Some(lifecycle), context, has_begun } }
    }
}

impl<F, R, E> Way<F, R, E>
where
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
    E: Send + 'static,
{
    /// Records the end of a watched request.
    fn recording(
        context: AuditContext,
        protocol: Protocol,
        result: Result<Result<Response<R>, E>, PanicPayload>,
    ) -> Self {
        let Some(shared) = context.layer() else { polled_after_completion() };
        let lifecycle = RequestLifecycle::new(&shared, context.clone(), protocol, None, RequestSpan::none());
        Self::Audited { lifecycle: Some(Box::pin(lifecycle.finish(HandlerEnd::of(result)))), context, has_begun: true }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
    E: Send + 'static,
{
    type Output = Result<Response<AuditBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut way = self.project().way;
        loop {
            match way.as_mut().project() {
                WayProj::Off { future } => {
                    return future.poll(cx).map_ok(pass_through);
                }
                WayProj::Never => return Poll::Pending,
                WayProj::Watched { mut future, head } => {
                    let result = ready!(future.as_mut().poll(cx));
                    let slot = std::mem::take(future.slot());
                    let protocol = head.as_ref().map_or(Protocol::Http, |head| head.protocol());
                    match to_record(slot, extensions(&result), head) {
                        Some(context) => way.set(Way::recording(context, protocol, result)),
                        None => {
                            way.set(Way::Over);
                            return match result {
                                Ok(result) => Poll::Ready(result.map(pass_through)),
                                Err(panic) => resume_unwind(panic),
                            };
                        }
                    }
                }
                WayProj::Audited { lifecycle: slot, has_begun, .. } => {
                    *has_begun = true;
                    // Taken out while it is polled: a lifecycle that has panicked is not polled again.
                    let Some(mut lifecycle) = slot.take() else { polled_after_completion() };
                    let Poll::Ready(released) = lifecycle.as_mut().poll(cx) else {
                        *slot = Some(lifecycle);
                        return Poll::Pending;
                    };
                    way.set(Way::Over);
                    match released {
                        Some(result) => return Poll::Ready(result),
                        // Only a dropped future has no result, and its lifecycle is polled elsewhere.
                        None => return Poll::Pending,
                    }
                }
                WayProj::Over => polled_after_completion(),
            }
        }
    }
}

/// The extensions of the response, if there is one.
fn extensions<R, E>(result: &Result<Result<Response<R>, E>, PanicPayload>) -> Option<&Extensions> {
    result.as_ref().ok()?.as_ref().ok().map(Response::extensions)
}

/// Passes on a response that is not recorded.
fn pass_through<R>(response: Response<R>) -> Response<AuditBody<R>> {
    response.map(|body| AuditBody::inner(body, None))
}

fn polled_after_completion() -> ! {
    panic!("the future of an audited response was polled after it was ready")
}

/// Returns the context if a watched request must be recorded: its handler declared a type, or its response has too many
/// results. `response`: the response's extensions.
fn to_record(slot: Scope, response: Option<&Extensions>, head: &mut Option<KeptHead>) -> Option<AuditContext> {
    let is_too_many = |shared: &LayerState, count: u64| {
        shared.inspects_responses && shared.policy.max_results().is_some_and(|max| count > max)
    };
    let counted = || Some(response?.get::<ResultCount>()?.0);
    match slot {
        Scope::Outside => None,
        Scope::Vacant(vacant) => {
            let is_oversize = vacant.shared.inspects_responses
                && !vacant.is_limited_within
                && counted().is_some_and(|count| is_too_many(&vacant.shared, count));
            (is_oversize || vacant.is_declared_around()).then(|| vacant.into_context(head.take()))
        }
        Scope::Held(context, _) => {
            let shared = context.layer()?;
            let attempt = context.attempt();
            let mut attempts = context.lock();
            let count = attempts.result_count(attempt).or_else(counted);
            let is_wanted = attempts[attempt].written.is_some()
                || attempts.has_within(attempt)
                // The layer around whose event is in a transaction records it.
                || (!attempts.is_written_around(attempt)
                    && (attempts.declared(attempt).is_some()
                        || count.is_some_and(|count| is_too_many(&shared, count))));
            if is_wanted && attempts[attempt].head.is_none() {
                attempts[attempt].head = head.take();
            }
            drop(attempts);
            if !is_wanted {
                context.settle(AttemptStage::Silent);
            }
            is_wanted.then_some(context)
        }
    }
}

/// Returns the context of a cancelled watched request, if a handler or a layer around may have declared an event type.
fn declared_in(slot: Scope) -> Option<AuditContext> {
    match slot {
        Scope::Held(context, _) => Some(context),
        Scope::Vacant(vacant) if vacant.is_declared_around() => Some(vacant.into_context(None)),
        Scope::Vacant(_) | Scope::Outside => None,
    }
}

/// The rest of the lifecycle of a watched request that was cancelled.
fn unfinished_lifecycle<R, E>(
    context: &AuditContext,
    head: Option<KeptHead>,
    shared: &Arc<LayerState>,
) -> Option<BoxedLifecycle<R, E>>
where
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
    E: Send + 'static,
{
    let attempt = context.attempt();
    let mut attempts = context.lock();
    // A layer nearer to the handler drives its own request to its end.
    let is_declared = attempts.declared(attempt).is_some() && !attempts.is_written_around(attempt);
    let is_wanted = (is_declared || attempts[attempt].written.is_some())
        && !attempts.has_within(attempt)
        && attempts.is_open(attempt);
    if attempts[attempt].head.is_none() {
        attempts[attempt].head = head;
    }
    attempts.detach(attempt);
    drop(attempts);
    // Dropped, it settles the attempt.
    let lifecycle = RequestLifecycle::new(shared, context.clone(), Protocol::Http, None, RequestSpan::none());
    is_wanted.then(|| -> BoxedLifecycle<R, E> { Box::pin(lifecycle.finish(HandlerEnd::Dropped)) })
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E>
where
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
    E: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
