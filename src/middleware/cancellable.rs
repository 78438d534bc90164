//! A handler that can be cancelled after its client has left, when too many of these run, or one runs too long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::scoped_future::{PanicPayload, ScopedFuture};

pin_project! {
    /// The future of a handler. None: it was cancelled, and is dropped.
    pub(super) struct Cancellable<F> {
        #[pin]
        handler: ScopedFuture<F>,
    }
}

impl<F> Cancellable<F> {
    pub(super) fn new(handler: ScopedFuture<F>) -> Self {
        Self { handler }
    }
}

impl<F: Future> Future for Cancellable<F> {
    type Output = Option<Result<F::Output, PanicPayload>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut handler = self.project().handler;
        if handler.as_mut().is_cancelled() {
            handler.end();
            return Poll::Ready(None);
        }
        handler.poll(cx).map(Some)
    }
}
