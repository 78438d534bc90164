//! A future polled within a scope, its panics caught.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::capture::scope::{self, Scope};

/// The payload of a panic.
pub(super) type PanicPayload = Box<dyn Any + Send>;

/// Calls `f` within a scope and catches its panic. The slot holds the context if `f` has asked for one.
pub(super) fn instrument<T>(slot: &mut Scope, f: impl FnOnce() -> T) -> Result<T, PanicPayload> {
    let entered = scope::enter(std::mem::take(slot));
    let result = catch_unwind(AssertUnwindSafe(f));
    *slot = entered.leave();
    result
}

pin_project! {
    /// A future that is polled within a scope. Its panics are caught, those of its drop included. Not to be polled again
    /// after it was ready.
    pub(super) struct ScopedFuture<F> {
        #[pin]
        future: Option<F>,
        slot: Scope,
    }
}

impl<F> ScopedFuture<F> {
    pub(super) fn new(future: F, slot: Scope) -> Self {
        Self { future: Some(future), slot }
    }

    pub(super) fn slot(self: Pin<&mut Self>) -> &mut Scope {
        self.project().slot
    }

    /// Returns true if the request has no client, and its handler is to be dropped.
    pub(super) fn is_cancelled(self: Pin<&mut Self>) -> bool {
        if let Scope::Held(context, _) = self.project().slot { context.is_cancelled() } else { false }
    }

    /// Drops the future before its end.
    pub(super) fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        // A panic of the drop adds nothing to the end.
        drop(instrument(this.slot, || this.future.set(None)));
    }
}

impl<F: Future> Future for ScopedFuture<F> {
    type Output = Result<F::Output, PanicPayload>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        let polled = instrument(this.slot, || {
            let polled = this.future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx));
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        });
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => {
                self.end();
                Poll::Ready(Err(panic))
            }
        }
    }
}
