//! The span of an audited request, in the app's own subscriber.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;
use tracing::field::Empty;
use tracing::span::Entered;

use crate::event::EventId;

/// The span of an audited request, with the ids of its events. Without a subscriber there is none, and it costs a few
/// comparisons and a word of memory.
///
/// The subscriber is the app's code and may panic. It does so within the handler, as its own lines would, or its panic is
/// discarded here: no event is lost for it.
pub(super) struct RequestSpan(Option<Arc<Span>>);

/// The id of the `completed` event.
pub(super) const EVENT_ID: &str = "audit.event_id";
/// The id of the `started` event.
pub(super) const STARTED_EVENT_ID: &str = "audit.started_event_id";

pin_project! {
    /// A future that is polled within a span.
    pub(super) struct InSpan<F> {
        #[pin]
        future: F,
        span: Option<Arc<Span>>,
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _within = this.span.as_ref().map(|span| Within::enter(span));
        this.future.poll(cx)
    }
}

/// Leaves a span when it is dropped, also while a panic of the handler unwinds: a panic of the subscriber would then abort the
/// process.
struct Within<'s>(Option<Entered<'s>>);

impl<'s> Within<'s> {
    fn enter(span: &'s Span) -> Self {
        Self(Some(span.enter()))
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        let entered = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(entered)));
    }
}

impl RequestSpan {
    /// Opens the span of a request that a rule names.
    #[inline]
    pub(super) fn open() -> Self {
        // A look at a number: most apps have a subscriber of this level, or none at all.
        if tracing::level_filters::LevelFilter::current() < tracing::Level::INFO {
            return Self::none();
        }
        Self::open_enabled()
    }

    fn open_enabled() -> Self {
        let open = || tracing::info_span!("audit", audit.event_id = Empty, audit.started_event_id = Empty);
        let span = catch_unwind(open).ok().filter(|span| !span.is_disabled());
        Self(span.map(Arc::new))
    }

    /// The absent span of a request that no rule names.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Calls a service within the span, which its future then runs in. Runs code of the subscriber's.
    pub(super) fn call<F>(&self, call: impl FnOnce() -> F) -> InSpan<F> {
        let within = self.0.as_ref().map(|span| Within::enter(span));
        let future = call();
        drop(within);
        InSpan { future, span: self.0.clone() }
    }

    /// Returns a second handle of the span, which stays open until both are dropped.
    pub(super) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Records the id of an event.
    pub(super) fn record(&self, field: &'static str, id: EventId) {
        if let Some(span) = &self.0 {
            // The panic's message went to the app's panic hook.
            let _ = catch_unwind(AssertUnwindSafe(|| _ = span.record(field, id.to_hex().as_str())));
        }
    }
}

/// Closes the span.
impl Drop for RequestSpan {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(span)));
        }
    }
}
