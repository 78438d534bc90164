//! Shields around code that is not the writer's own: subscribers, wakers and stores.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

use crate::store::{StoreError, StoreErrorKind, StoreFuture};

/// Calls `f` and discards its panic. Returns true if there was none.
///
/// Subscribers and wakers belong to the app and may panic: `tracing_subscriber::fmt` does if it can write neither its
/// line nor the error to stderr. The requests that wait for the writer must not fail for it.
pub(super) fn catch_panic(f: impl FnOnce()) -> bool {
    // The panic's message went to the app's panic hook.
    catch_unwind(AssertUnwindSafe(f)).is_ok()
}

/// Calls a store. A panic is an error like any other.
pub(super) async fn catch_store_panic<'a, T>(call: impl FnOnce() -> StoreFuture<'a, T>) -> Result<T, StoreError> {
    Ok(call_store(call).await?)
}

/// Calls a store and tells its panic from its error.
pub(super) async fn call_store<'a, T>(call: impl FnOnce() -> StoreFuture<'a, T>) -> Result<T, StoreFailure> {
    match AssertUnwindSafe(async move { call().await }).catch_unwind().await {
        Ok(result) => result.map_err(StoreFailure::Error),
        Err(_) => Err(StoreFailure::Panic),
    }
}

/// The failure of a store call.
pub(super) enum StoreFailure {
    Error(StoreError),
    Panic,
}

impl From<StoreFailure> for StoreError {
    fn from(failure: StoreFailure) -> Self {
        match failure {
            StoreFailure::Error(error) => error,
            StoreFailure::Panic => panic_error(StoreErrorKind::Permanent),
        }
    }
}

/// Returns the error that a panic of a store stands for.
pub(super) fn panic_error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "audit", "the call").with_hint("the store panicked")
}
