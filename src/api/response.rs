//! Headers and bodies common to all responses.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::error::ApiError;

/// A response with a JSON body.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Makes a 405 of axum a problem document; axum adds the header `allow`. A fallback would do so as well, but would mount
/// every route for every method.
pub(crate) async fn reject_method(response: Response) -> Response {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        ApiError::MethodNotAllowed.into_response()
    } else {
        response
    }
}

/// Forbids caching and content sniffing, so that a browser never takes an event for a script.
pub(super) async fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
