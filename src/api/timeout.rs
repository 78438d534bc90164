//! The end of waiting for what others wrote: the gate and the store.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// It panicked. The panic's message is where the app's hook puts it.
    Panicked,
    /// It took longer than it may.
    TimedOut,
}

/// What `work` answers, if it does so in time and without a panic.
pub(super) async fn with_timeout<T>(deadline: Duration, work: impl Future<Output = T>) -> Result<T, Interrupted> {
    // Nothing that `work` touches is used after a panic, but for stores and gates, which look after themselves.
    match tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Interrupted::Panicked),
        Err(_) => Err(Interrupted::TimedOut),
    }
}
