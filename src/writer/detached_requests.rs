//! Requests whose client has gone. They run to their end.

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
use super::stats::{Counters, add};
use crate::log_lines::log_line;

/// The bounds of requests whose client has gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct DetachedLimits {
    pub(super) requests: usize,
    pub(super) timeout: Option<Duration>,
}

thread_local! {
    static STAGE: Cell<Stage> = const { Cell::new(Stage::Attached) };
}

/// The stage of the request that is polled on a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A caller waits for its response.
    Attached,
    /// Its client has gone.
    Detached,
    /// Its time is over, too: its handler is dropped, and its event says that it was aborted.
    Cancelled,
}

/// Returns true if the client of the request that is polled on this thread has gone.
pub(super) fn is_detached() -> bool {
    STAGE.get() != Stage::Attached
}

/// Returns true if the handler of the request that is polled on this thread must be dropped.
pub(crate) fn is_cancelled() -> bool {
    STAGE.get() == Stage::Cancelled
}

/// Restores the stage of the thread.
struct StageGuard(Stage);

impl Drop for StageGuard {
    fn drop(&mut self) {
        STAGE.set(self.0);
    }
}

pin_project! {
    /// The lifecycle of a request whose client has gone.
    ///
    /// After its timeout, or at once if too many run already, it is polled as a cancelled one: its handler is dropped, and
    /// its event is written.
    pub(super) struct Detached<F> {
        #[pin]
        future: F,
        // None: there is no limit. Made on the first poll, which is on the log's runtime.
        #[pin]
        timer: Option<Sleep>,
        timeout: Option<Duration>,
        is_abandoned: bool,
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
            timeout: limits.timeout,
            is_abandoned,
            under_way: DetachedRequest { counters, is_over: false },
        }
    }
}

impl<F: Future<Output = ()>> Future for Detached<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(timeout) = this.timeout.take() {
            this.timer.set(Some(tokio::time::sleep_until(from_now(timeout))));
        }
        if !*this.is_abandoned
            && let Some(timer) = this.timer.as_mut().as_pin_mut()
            && timer.poll(cx).is_ready()
        {
            *this.is_abandoned = true;
            add(&this.under_way.counters.abandoned, 1);
        }
        let stage = if *this.is_abandoned { Stage::Cancelled } else { Stage::Detached };
        let _stage = StageGuard(STAGE.replace(stage));
        // A panic of its handler is an end, too: its event has been written by then.
        this.under_way.is_over = true;
        let polled = this.future.poll(cx);
        this.under_way.is_over = polled.is_ready();
        polled
    }
}
