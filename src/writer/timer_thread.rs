//! Timers on a thread of their own, for callers whose executor may have none.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::catch_panic::catch_panic;
use super::limits::MAX_TIMEOUT;

/// A future that is ready at its time. Its thread starts with the first alarm, and ends after [`IDLE`] without one.
#[derive(Debug)]
pub(super) struct Alarm {
    at: Instant,
    /// Distinguishes it from others of the same time; none before it was polled.
    number: Option<u64>,
}

#[derive(Debug)]
struct Alarms {
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    is_running: bool,
}

static ALARMS: Mutex<Alarms> = Mutex::new(Alarms { wakers: BTreeMap::new(), next: 0, is_running: false });
static CHANGED: Condvar = Condvar::new();

/// The time without an alarm after which the thread ends.
const IDLE: Duration = Duration::from_secs(10);

impl Alarm {
    pub(super) fn after(duration: Duration) -> Self {
        let now = Instant::now();
        Self { at: now.checked_add(duration).unwrap_or(now + MAX_TIMEOUT), number: None }
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        // Cloned and dropped without the lock: a waker is the code of the executor.
        let waker = cx.waker().clone();
        let mut alarms = lock();
        let number = *self.number.get_or_insert(alarms.next);
        alarms.next = alarms.next.max(number + 1);
        let replaced = alarms.wakers.insert((self.at, number), waker);
        let is_first = alarms.wakers.first_key_value().is_some_and(|(key, _)| *key == (self.at, number));
        if !alarms.is_running {
            // Without a thread the alarm does not ring. The worker still checks the deadlines.
            alarms.is_running = thread::Builder::new().name("tower-audit alarms".into()).spawn(run).is_ok();
        } else if is_first {
            CHANGED.notify_one();
        }
        drop(alarms);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = lock().wakers.remove(&(self.at, number));
            drop(waker);
        }
    }
}

fn lock() -> MutexGuard<'static, Alarms> {
    // No code panics under this lock half way through a change.
    ALARMS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run() {
    let mut alarms = lock();
    loop {
        let now = Instant::now();
        let later = alarms.wakers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut alarms.wakers, later);
        if !due.is_empty() {
            drop(alarms);
            for waker in due.into_values() {
                catch_panic(|| waker.wake());
            }
            alarms = lock();
            continue;
        }
        let until = alarms.wakers.first_key_value().map(|((at, _), _)| *at);
        let pause = until.map_or(IDLE, |at| at.saturating_duration_since(now));
        let (guard, timeout) = CHANGED.wait_timeout(alarms, pause).unwrap_or_else(PoisonError::into_inner);
        alarms = guard;
        if until.is_none() && timeout.timed_out() && alarms.wakers.is_empty() {
            alarms.is_running = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::task::Wake;

    #[test]
    fn alarms_ring_in_their_order_without_any_runtime() {
        struct Rings(mpsc::Sender<u8>, u8);
        impl Wake for Rings {
            fn wake(self: Arc<Self>) {
                let _ = self.0.send(self.1);
            }
        }
        let (sender, receiver) = mpsc::channel();
        let begun = Instant::now();
        let alarms: Vec<_> = [60, 1_000_000, 20, 40]
            .into_iter()
            .enumerate()
            .map(|(at, millis)| {
                let mut alarm = Alarm::after(Duration::from_millis(millis));
                let waker = Waker::from(Arc::new(Rings(sender.clone(), at as u8)));
                assert!(Pin::new(&mut alarm).poll(&mut Context::from_waker(&waker)).is_pending());
                alarm
            })
            .collect();
        let rung: Vec<u8> = (0..3).map(|_| receiver.recv_timeout(Duration::from_secs(20)).expect("it rings")).collect();
        assert_eq!(rung, [2, 3, 0]);
        assert!(begun.elapsed() >= Duration::from_millis(60));
        drop(alarms);
        assert!(lock().wakers.is_empty(), "an alarm that is dropped is forgotten");
    }
}
