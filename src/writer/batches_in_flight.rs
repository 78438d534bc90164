//! The batches that are being written.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// The batches that are being written: few, so that all are polled whenever one is woken.
///
/// `FuturesUnordered` polls only the woken one, but then wakes its own task once more, for which the runtime wakes a
/// thread: once a batch.
pub(super) struct BatchesInFlight<'a, T>(Vec<Pin<Box<dyn Future<Output = T> + Send + 'a>>>);

impl<'a, T> BatchesInFlight<'a, T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, batch: impl Future<Output = T> + Send + 'a) {
        self.0.push(Box::pin(batch));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the output of the next batch that ends; never ready while there is none.
    ///
    /// Cancel safety: can be dropped at any time.
    pub(super) fn next(&mut self) -> impl Future<Output = T> {
        poll_fn(|cx| {
            for at in 0..self.0.len() {
                if let Poll::Ready(output) = self.0[at].as_mut().poll(cx) {
                    drop(self.0.swap_remove(at));
                    return Poll::Ready(output);
                }
            }
            Poll::Pending
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use tokio::sync::oneshot;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_woken_once_a_batch_and_not_before() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut writing = BatchesInFlight::new();
        assert!(pin!(writing.next()).poll(&mut cx).is_pending(), "none");
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<u8>()).unzip();
        for receiver in receivers {
            writing.push(receiver);
        }
        assert!(pin!(writing.next()).poll(&mut cx).is_pending(), "all are under way");
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        for (at, sender) in senders.into_iter().enumerate().rev() {
            sender.send(at as u8).expect("it is waited for");
            assert_eq!(woken.0.load(Ordering::Relaxed), 3 - at);
            assert_eq!(pin!(writing.next()).poll(&mut cx), Poll::Ready(Ok(at as u8)));
            assert_eq!(writing.is_empty(), at == 0);
            assert!(pin!(writing.next()).poll(&mut cx).is_pending(), "the others");
        }
    }
}
