//! Requests whose client has gone, driven to their end.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::deadline::from_now;
use super::log_lines::log_line;
use super::stats::{Counters, add};

/// How many requests whose client has gone may run, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct DetachedLimits {
    pub(super) requests: usize,
    pub(super) deadline: Option<Duration>,
}

thread_local! {
    static IS_ABANDONED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the request that is being polled on this thread has lost its client and its time: then its handler is to be
/// dropped, and its event says that it was aborted.
pub(crate) fn is_cancelled() -> bool {
    IS_ABANDONED.get()
}

pin_project! {
    /// The course of a request whose client has gone.
    ///
    /// Once its time is over, or at once if too many run already, it is polled as an abandoned one: its handler ends, and it
    /// goes on to write its event.
    pub(super) struct Detached<F> {
        #[pin]
        future: F,
        // None: there is no limit. Made on the first poll, which is on the log's runtime.
        #[pin]
        timer: Option<Sleep>,
        deadline: Option<Duration>,
        is_abandoned: bool,
        under_way: DetachedRequest,
    }
}

/// Counts it until it is dropped.
struct DetachedRequest {
    counters: Arc<Counters>,
    is_over: bool,
}

impl Drop for DetachedRequest {
    fn drop(&mut self) {
        self.counters.detached.fetch_sub(1, Relaxed);
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

impl<F> Detached<F> {
    pub(super) fn new(future: F, counters: Arc<Counters>, limits: DetachedLimits) -> Self {
        let before = counters.detached.fetch_add(1, Relaxed);
        let is_abandoned = before >= limits.requests as u64;
        if is_abandoned {
            add(&counters.abandoned, 1);
        }
        Self {
            future,
            timer: None,
            deadline: limits.deadline,
            is_abandoned,
            under_way: DetachedRequest { counters, is_over: false },
        }
    }
}

impl<F: Future<Output = ()>> Future for Detached<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(deadline) = this.deadline.take() {
            this.timer.set(Some(tokio::time::sleep_until(from_now(deadline))));
        }
        if !*this.is_abandoned
            && let Some(timer) = this.timer.as_mut().as_pin_mut()
            && timer.poll(cx).is_ready()
        {
            *this.is_abandoned = true;
            add(&this.under_way.counters.abandoned, 1);
        }
        let _abandoned = CancelGuard(IS_ABANDONED.replace(*this.is_abandoned));
        // A panic of its handler is an end, too: its event has been written by then.
        this.under_way.is_over = true;
        let polled = this.future.poll(cx);
        this.under_way.is_over = polled.is_ready();
        polled
    }
}

/// Restores what the thread said before.
struct CancelGuard(bool);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        IS_ABANDONED.set(self.0);
    }
}
