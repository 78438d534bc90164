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
        self.counters.detached.fetch_sub(1, Relaxed);
        self.counters.metrics.end_detached();
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
    pub(super) fn new(future: F, mut cancel: Option<C>, counters: Arc<Counters>, limits: DetachedLimits) -> Self {
        let before = counters.detached.fetch_add(1, Relaxed);
        counters.metrics.begin_detached();
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

#[cfg(test)]
#[cfg(feature = "metrics")]
mod tests {
    use std::sync::{Condvar, Mutex};

    use metrics::{
        Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
    };

    use super::*;

    /// A recorder of one gauge, in which setting 1 takes until 0 was set, or a second.
    #[derive(Default)]
    struct SlowGauge {
        value: Mutex<f64>,
        is_changed: Condvar,
    }

    impl GaugeFn for SlowGauge {
        fn increment(&self, value: f64) {
            *self.value.lock().unwrap() += value;
        }

        fn decrement(&self, value: f64) {
            *self.value.lock().unwrap() -= value;
        }

        fn set(&self, value: f64) {
            let mut kept = self.value.lock().unwrap();
            if (value, *kept) == (1.0, 2.0) {
                let timeout = Duration::from_secs(1);
                kept = self.is_changed.wait_timeout_while(kept, timeout, |kept| *kept > 0.0).unwrap().0;
            }
            *kept = value;
            self.is_changed.notify_all();
        }
    }

    struct OneGauge(Arc<SlowGauge>);

    impl Recorder for OneGauge {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            if key.name() == "tower_audit_detached" { Gauge::from_arc(Arc::clone(&self.0)) } else { Gauge::noop() }
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn requests_that_end_at_once_leave_none_behind() {
        let gauge = Arc::new(SlowGauge::default());
        let counters = with_local_recorder(&OneGauge(Arc::clone(&gauge)), || Arc::new(Counters::of_log("detached")));
        let request = || {
            let limits = DetachedLimits { requests: 10, timeout: None };
            Detached::new(std::future::ready(()), Some(|| ()), Arc::clone(&counters), limits)
        };
        let requests = [request(), request()];
        assert_eq!(*gauge.value.lock().unwrap(), 2.0);
        let ends = requests.map(|request| std::thread::spawn(move || drop(request)));
        ends.into_iter().for_each(|end| end.join().unwrap());
        assert_eq!(*gauge.value.lock().unwrap(), 0.0);
    }
}
