//! Deadlines of callers, on any executor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use super::limits::MAX_TIMEOUT;
use super::timer_thread::Alarm;

/// Returns the deadline of a timeout that begins now.
pub(super) fn from_now(duration: Duration) -> Instant {
    Instant::now() + duration.min(MAX_TIMEOUT)
}

/// Waits for the future until the deadline. Returns none if it has passed.
///
/// A timer is made when the future is first pending. On the log's runtime it is tokio's; elsewhere the thread of
/// [`Alarm`] wakes the caller. So a wait ends outside of tokio, too, and after the log's runtime has ended.
pub(super) fn with_deadline<F: Future>(log: &Handle, deadline: Instant, future: F) -> Within<'_, F> {
    Within { log, deadline, future, timer: Timer::None }
}

pin_project! {
    /// The future of [`with_deadline`].
    pub(super) struct Within<'a, F> {
        log: &'a Handle,
        deadline: Instant,
        #[pin]
        future: F,
        #[pin]
        timer: Timer,
    }
}

pin_project! {
    #[project = TimerProj]
    enum Timer {
        None,
        Runtime { #[pin] sleep: Sleep },
        Thread { #[pin] alarm: Alarm },
    }
}

impl<F: Future> Future for Within<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if let TimerProj::None = this.timer.as_mut().project() {
            let is_here = Handle::try_current().is_ok_and(|here| here.id() == this.log.id());
            this.timer.set(if is_here {
                Timer::Runtime { sleep: tokio::time::sleep_until(*this.deadline) }
            } else {
                Timer::Thread { alarm: Alarm::after(this.deadline.saturating_duration_since(Instant::now())) }
            });
        }
        let rung = match this.timer.project() {
            TimerProj::None => return Poll::Pending,
            TimerProj::Runtime { sleep } => sleep.poll(cx),
            TimerProj::Thread { alarm } => alarm.poll(cx),
        };
        rung.map(|()| None)
    }
}
