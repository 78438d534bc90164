//! How many results a query had.

/// How many results a query had, before any limit: put it into the extensions of the response.
///
/// With axum, return it beside the body:
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Extension, Json};
/// use tower_audit::ResultCount;
///
/// async fn list() -> (Extension<ResultCount>, Json<Vec<u32>>) {
///     let found = 5000;
///     (Extension(ResultCount(found)), Json((0..1000).collect()))
/// }
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultCount(pub u64);
