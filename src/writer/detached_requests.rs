//! Requests whose client has gone. They run to their end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::deadline::from_now;
use super::stats::{Counters, add};
use crate::log_lines::log_line;

/// The bounds of requests whose client has gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct DetachedLimits {
    pub(super) requests: usize,
    pub(super) timeout: Option<Duration>,
}

pin_project! {
    /// The lifecycle of a request whose client has gone.
    ///
    /// After its timeout, or at once if too many run already, it is cancelled: its handler is dropped at its next poll, and its
    /// event is written.
    pub(super) struct Detached<F, C> {
        #[pin]
        future: F,
        cancel: Option<C>,
        // None: there is no limit. Made on the first poll, which is on the log's runtime.
        #[pin]
        timer: Option<Sleep>,
        timeout: Option<Duration>,
        under_way: DetachedRequest,
    }
}

/// Counts a detached request, until it is dropped.
struct DetachedRequest {
    counters: Arc<Counters>,
    is_over: bool,
}

impl Drop for DetachedRequest {
    fn drop(&mut self) {
        let before = self.counters.detached.fetch_sub(1, Relaxed);
        self.counters.metrics.set_detached(before - 1);
        if !self.is_over {
            add(&self.counters.abandoned, 1);
            log_line(|| {
                tracing::error!(
                    "a request whose client has gone was dropped before its end: the log's runtime has ended"
                );
            });
        }
    }
}

impl<F, C: FnOnce()> Detached<F, C> {
    pub(super) fn new(future: F, cancel: C, counters: Arc<Counters>, limits: DetachedLimits) -> Self {
        let before = counters.detached.fetch_add(1, Relaxed);
        counters.metrics.set_detached(before + 1);
        let mut cancel = Some(cancel);
        if before >= limits.requests as u64
            && let Some(cancel) = cancel.take()
        {
            add(&counters.abandoned, 1);
            cancel();
        }
        Self {
            future,
            cancel,
            timer: None,
            timeout: limits.timeout,
            under_way: DetachedRequest { counters, is_over: false },
        }
    }
}

impl<F: Future<Output = ()>, C: FnOnce()> Future for Detached<F, C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(timeout) = this.timeout.take() {
            this.timer.set(Some(tokio::time::sleep_until(from_now(timeout))));
        }
        if this.cancel.is_some()
            && let Some(timer) = this.timer.as_mut().as_pin_mut()
            && timer.poll(cx).is_ready()
            && let Some(cancel) = this.cancel.take()
        {
            add(&this.under_way.counters.abandoned, 1);
            cancel();
        }
        // A panic of its handler is an end, too: its event has been written by then.
        this.under_way.is_over = true;
        let polled = this.future.poll(cx);
        this.under_way.is_over = polled.is_ready();
        polled
    }
}
