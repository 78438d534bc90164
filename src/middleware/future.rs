//! The future of a response.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::course::{BoxedCourse, Course, End, Recorded, ended};
use super::scoped::Scoped;
use super::{AuditBody, BodyError};
use crate::capture::scope::Slot;
use crate::capture::{AuditContext, Claim, RequestHead, ResultCount, Shared};
use crate::policy::Candidates;
use crate::writer::AuditLog;

pin_project! {
    /// The future of [`AuditService`](super::AuditService).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, an audited request goes on by itself, on the runtime of the log, until its handler has
    /// ended and its event is written. (One that waits for its `started` event and was never polled is let go: nothing of it
    /// has happened.) A request that no rule names is cancelled with the future; if its handler had declared an event
    /// type by then, the event is written and says `aborted`.
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
                WayProj::Audited { course, log, has_begun } => {
                    if let Some(course) = course.take()
                        && *has_begun
                    {
                        log.detach(async move { drop(course.await) });
                    }
                }
                WayProj::Watched { future, head } => {
                    if let Slot::Held(context) = std::mem::take(future.slot())
                        && let Some(shared) = context.layer()
                        && let Some(course) = dropped::<R, E>(&context, head.take(), shared)
                    {
                        shared.log.detach(async move { drop(course.await) });
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
        /// The log is off, or a layer further out does the work.
        Off { #[pin] future: F },
        /// No rule names the request: its response is looked at.
        Watched { #[pin] future: Scoped<F>, head: Option<RequestHead> },
        /// A rule names the request, or its response has turned out to be of interest.
        Audited { course: Option<BoxedCourse<R, E>>, log: AuditLog, has_begun: bool },
        /// Nobody waits for it.
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
    pub(super) fn off(future: F) -> Self {
        Self { way: Way::Off { future } }
    }

    #[cfg_attr(not(feature = "axum"), expect(dead_code))]
    pub(super) fn never() -> Self {
        Self { way: Way::Never }
    }

    pub(super) fn watched(future: Scoped<F>, head: Option<RequestHead>) -> Self {
        Self { way: Way::Watched { future, head } }
    }

    /// `has_begun`: something of the request may already have happened.
    pub(super) fn audited(course: BoxedCourse<R, E>, log: AuditLog, has_begun: bool) -> Self {
        Self { way: Way::Audited { course: Some(course), log, has_begun } }
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
                    return future.poll(cx).map_ok(|response| response.map(|body| AuditBody::inner(body, None)));
                }
                WayProj::Never => return Poll::Pending,
                WayProj::Watched { mut future, head } => {
                    let result = ready!(future.as_mut().poll(cx));
                    let slot = std::mem::take(future.slot());
                    let end = ended(result);
                    let Some((shared, context)) = to_record(slot, &end, head) else {
                        way.set(Way::Over);
                        return Poll::Ready(match end {
                            End::Response(parts, body) => Ok(Response::from_parts(parts, AuditBody::inner(body, None))),
                            End::Error(error) => Err(error),
                            End::Panic(panic) => resume_unwind(panic),
                            End::Dropped => return Poll::Pending,
                        });
                    };
                    let course = Course::new(&shared, context, Candidates::default());
                    let log = shared.log.clone();
                    way.set(Way::Audited { course: Some(Box::pin(course.finish(end))), log, has_begun: true });
                }
                WayProj::Audited { course: slot, has_begun, .. } => {
                    *has_begun = true;
                    // Taken out while it is polled: a course that lets a panic go on is not driven any further.
                    let Some(mut course) = slot.take() else { polled_after_the_end() };
                    let Poll::Ready(released) = course.as_mut().poll(cx) else {
                        *slot = Some(course);
                        return Poll::Pending;
                    };
                    way.set(Way::Over);
                    match released {
                        Some(result) => return Poll::Ready(result),
                        // Only the end of a dropped future has no result, and that is not polled here.
                        None => return Poll::Pending,
                    }
                }
                WayProj::Over => polled_after_the_end(),
            }
        }
    }
}

fn polled_after_the_end() -> ! {
    panic!("the future of an audited response was polled after it was ready")
}

/// The context of a watched request that is to be recorded after all.
fn to_record<R, E>(slot: Slot, end: &End<R, E>, head: &mut Option<RequestHead>) -> Option<(Arc<Shared>, AuditContext)> {
    let shared = match &slot {
        Slot::Outside => return None,
        Slot::Vacant(shared) => Arc::clone(shared),
        Slot::Held(context) => Arc::clone(context.layer()?),
    };
    let is_over = |count: u64| shared.policy.max_results().is_some_and(|max| shared.watches_responses && count > max);
    let said = end.parts().filter(|parts| parts.extensions.get::<Recorded>().is_none());
    let said = said.and_then(|parts| parts.extensions.get::<ResultCount>().map(|count| count.0));
    match slot {
        Slot::Held(context) => {
            let mut data = context.lock();
            let is_wanted = data.event_type.is_some()
                || data.written.is_some()
                || data.inner.is_some()
                || data.result_count.or(said).is_some_and(is_over);
            if data.head.is_none() {
                data.head = head.take();
            }
            drop(data);
            is_wanted.then_some((shared, context))
        }
        _ => said.is_some_and(is_over).then(|| (shared.clone(), AuditContext::new(shared, head.take()))),
    }
}

/// What is left to do for a watched request that was let go before its end.
fn dropped<R, E>(context: &AuditContext, head: Option<RequestHead>, shared: &Arc<Shared>) -> Option<BoxedCourse<R, E>>
where
    R: Body + Send + 'static,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
    E: Send + 'static,
{
    let mut data = context.lock();
    // A layer nearer to the handler drives its request to its end by itself.
    let is_wanted =
        (data.event_type.is_some() || data.written.is_some()) && data.inner.is_none() && data.claim == Claim::Open;
    if data.head.is_none() {
        data.head = head;
    }
    drop(data);
    is_wanted.then(|| -> BoxedCourse<R, E> {
        let course = Course::new(shared, context.clone(), Candidates::default());
        Box::pin(course.finish(End::Dropped))
    })
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
