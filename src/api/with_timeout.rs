//! Timeouts around code of others: gates and stores.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

/// The reason why a future has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// It panicked. The app's panic hook has the message.
    Panicked,
    /// It timed out.
    TimedOut,
}

/// Awaits `work`, catching a panic and a timeout.
pub(super) async fn with_timeout<T>(deadline: Duration, work: impl Future<Output = T>) -> Result<T, Interrupted> {
    // Only the store and the gate are used again after a panic, and they are `Sync`: their state is behind locks.
    match tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Interrupted::Panicked),
        Err(_) => Err(Interrupted::TimedOut),
    }
}
