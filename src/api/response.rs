//! Headers and bodies common to all responses.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::error::ApiError;

/// A body of JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Another verb than those of the route is a refusal like the others; axum adds which verbs there are. A fallback of the
/// routes would do as well, but it would make of each a route for any method, as whoever lists them sees it.
pub(crate) async fn reject_method(response: Response) -> Response {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        ApiError::MethodNotAllowed.into_response()
    } else {
        response
    }
}

/// Kept by no cache, and taken for nothing but what it says it is: whatever is in an event, no browser runs it.
pub(super) async fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
