//! The result count of a query.

/// The number of results of a query before any limit. Insert it into the response's extensions.
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
#[expect(clippy::exhaustive_structs, reason = "an app makes it of a number")]
pub struct ResultCount(pub u64);
