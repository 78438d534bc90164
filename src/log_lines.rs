//! Lines of the operator's log, written by a thread of their own.
//!
//! The subscriber is the app's, and may block. Example: stderr is a pipe whose reader stalls for five seconds.
//! t0: an append fails, and the worker queues a line. t0 + 1 ms: this thread begins to write it and blocks.
//! t0 + 5 ms: the append succeeds, and the requests are answered. t0 + 5 s: the line is written.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Span};

/// The lines of all logs of the process, oldest first.
struct LogLines {
    queue: VecDeque<Line>,
    accepted: u64,
    written: u64,
    /// Lines dropped because the queue was full, since the last one that was written.
    dropped: u64,
    is_running: bool,
}

/// A line for the subscriber and the span that were current when it was made.
struct Line {
    dispatch: Dispatch,
    span: Span,
    write: Box<dyn FnOnce() + Send>,
}

static LINES: Mutex<LogLines> =
    Mutex::new(LogLines { queue: VecDeque::new(), accepted: 0, written: 0, dropped: 0, is_running: false });
static ADDED: Condvar = Condvar::new();
static WRITTEN: Condvar = Condvar::new();

/// The maximum number of queued lines. Further ones are counted, and dropped.
const MAX_LINES: usize = 1024;
/// The time without a line after which the thread ends.
const IDLE: Duration = Duration::from_secs(10);

/// Queues a line: a call of `write` on the thread of the lines. Never blocks on the subscriber, never panics.
pub(crate) fn log_line(write: impl FnOnce() + Send + 'static) {
    // A subscriber may panic here: it is asked for the current span.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
        let line = Line { dispatch, span: Span::current(), write: Box::new(write) };
        let mut lines = lock();
        if lines.queue.len() >= MAX_LINES {
            lines.dropped += 1;
            drop(lines);
            return;
        }
        lines.queue.push_back(line);
        lines.accepted += 1;
        if lines.is_running {
            ADDED.notify_one();
        } else {
            // Without a thread the line waits until the next one starts it.
            lines.is_running = spawn();
        }
    }));
}

/// Calls `call`, which uses the subscriber, on the thread of the lines, and returns its value. None if it panicked, or if
/// too many lines wait.
///
/// # Cancel safety
/// Dropped before it is ready, the call is made all the same.
pub(crate) async fn call_subscriber<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    log_line(move || drop(sender.send(call())));
    receiver.await.ok()
}

/// Returns true if lines wait for the subscriber.
pub(crate) fn is_behind() -> bool {
    let lines = lock();
    lines.written < lines.accepted
}

/// Blocks until the lines queued before are written, or the timeout is over.
pub(crate) fn flush(timeout: Duration) {
    let deadline = Instant::now() + timeout;
    let mut lines = lock();
    let target = lines.accepted;
    while lines.written < target {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        lines = WRITTEN.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn lock() -> MutexGuard<'static, LogLines> {
    // No code panics under this lock half way through a change.
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn() -> bool {
    thread::Builder::new().name("tower-audit lines".into()).spawn(run).is_ok()
}

fn run() {
    let mut lines = lock();
    loop {
        if let Some(line) = lines.queue.pop_front() {
            let dropped = std::mem::take(&mut lines.dropped);
            drop(lines);
            let is_written = catch_unwind(AssertUnwindSafe(|| line.write(dropped))).is_ok();
            lines = lock();
            lines.written += 1;
            WRITTEN.notify_all();
            if !is_written {
                // `tracing_subscriber::fmt` leaves half a line in a variable of its thread: the next line gets another.
                lines.is_running = spawn();
                return;
            }
            continue;
        }
        let (guard, timeout) = ADDED.wait_timeout(lines, IDLE).unwrap_or_else(PoisonError::into_inner);
        lines = guard;
        if timeout.timed_out() && lines.queue.is_empty() {
            lines.is_running = false;
            return;
        }
    }
}

impl Line {
    /// Writes the line, and one more if others were dropped.
    fn write(self, dropped: u64) {
        let Self { dispatch, span, write } = self;
        let write_all = || {
            span.in_scope(write);
            if dropped > 0 {
                tracing::warn!(dropped, "the subscriber is too slow: lines about the audit log were dropped");
            }
        };
        if dispatch.is::<NoSubscriber>() {
            // The `log` feature of tracing writes the line, unless a subscriber was ever set.
            write_all();
        } else {
            tracing::dispatcher::with_default(&dispatch, write_all);
        }
    }
}
