//! The pace of a purge: small chunks, pauses between them, and retries.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::store::{StoreError, StoreFuture};

/// The number of events that one transaction of a purge deletes, so that a writer waits for a few milliseconds only.
pub const CHUNK_EVENTS: usize = 1000;
/// The time for which transient errors of a chunk, of a read, or of the purge's own events, are retried: one minute.
pub const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Repeats a call that fails with a transient error, such as a lock held by busy writers, for [`RETRY_TIMEOUT`].
///
/// Every call can be repeated: a chunk is one transaction, and an event is stored once.
pub(super) async fn retry<'a, T>(mut call: impl FnMut() -> StoreFuture<'a, T>) -> Result<T, StoreError> {
    let begun = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(50), MAX_PAUSE);
    loop {
        match call().await {
            Err(cause) if cause.is_transient() && begun.elapsed() < RETRY_TIMEOUT => {
                tokio::time::sleep(backoff.next_pause()).await;
            }
            result => return result,
        }
    }
}

/// A future that stops a purge when it is ready.
pub(super) struct Stop<'a>(Pin<&'a mut (dyn Future<Output = ()> + Send)>);

impl<'a> Stop<'a> {
    pub(super) fn new(stop: Pin<&'a mut (dyn Future<Output = ()> + Send)>) -> Self {
        Self(stop)
    }

    /// Pauses after a chunk that took `held`. Returns true if the purge is to stop.
    pub(super) async fn pause_after(&mut self, held: Duration) -> bool {
        let pause = std::pin::pin!(tokio::time::sleep(pause_after(held)));
        matches!(select(self.0.as_mut(), pause).await, Either::Left(_))
    }

    /// Returns true if the purge is to stop.
    pub(super) fn is_ready(&mut self) -> bool {
        self.0.as_mut().now_or_never().is_some()
    }
}

const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Returns the pause after a chunk that took `held`.
///
/// A writer that was blocked by the chunk retries after about as long as it was blocked, so twice that is enough for its
/// turn. The upper bound keeps a purge on a slow disk from taking forever.
fn pause_after(held: Duration) -> Duration {
    (held * 2).clamp(Duration::from_millis(5), MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorKind;

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_now_is_tried_again_and_what_fails_for_good_is_not() {
        use StoreErrorKind::{Permanent, Transient};
        for (kind, failures, succeeds) in [(Transient, 20, true), (Transient, usize::MAX, false), (Permanent, 1, false)]
        {
            let mut calls = 0;
            let begun = Instant::now();
            let result = retry(|| {
                calls += 1;
                let fails = calls <= failures;
                Box::pin(async move { if fails { Err(StoreError::new(kind, "test", "purge")) } else { Ok(()) } })
            })
            .await;
            assert_eq!(result.is_ok(), succeeds, "{kind:?}");
            assert!(begun.elapsed() <= RETRY_TIMEOUT + MAX_PAUSE);
            assert!(kind == Transient || calls == 1);
        }
    }

    #[test]
    fn pauses_are_in_bounds() {
        assert_eq!(pause_after(Duration::ZERO), Duration::from_millis(5));
        assert_eq!(pause_after(Duration::from_millis(40)), Duration::from_millis(80));
        assert_eq!(pause_after(Duration::from_secs(60)), Duration::from_millis(500));
    }
}
