//! The future of a store's methods.

use std::future::Future;
use std::pin::Pin;

use super::StoreError;

/// The future of a store's methods, boxed so that stores are trait objects.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;
