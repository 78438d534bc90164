//! Error responses of the API.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::export::escape_unsafe_chars;

/// Why a request gets nothing. The order of the first six is the order in which they are found out.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// There is no store to read.
    NoStore,
    /// Nobody is asking.
    Unauthenticated { challenge: HeaderValue },
    /// It makes no sense; the text says what would.
    BadRequest(String),
    /// It asks for another user's events.
    Forbidden,
    /// There is no such event, or it is another user's: the same answer, byte for byte.
    NotFound,
    /// Wrong verb.
    MethodNotAllowed,
    /// Who is asking cannot be told.
    GateFailed,
    /// The store does not answer, for now.
    StoreUnavailable,
    /// The store cannot answer.
    StoreFailed,
    /// The service's account may not read the store.
    StoreDenied,
    /// The reading itself could not be recorded.
    ReadNotRecorded,
}

impl ApiError {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::NoStore => StatusCode::NOT_IMPLEMENTED,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::GateFailed | Self::StoreUnavailable | Self::ReadNotRecorded => StatusCode::SERVICE_UNAVAILABLE,
            Self::StoreFailed | Self::StoreDenied => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn title_and_detail(&self) -> (&'static str, &str) {
        match self {
            Self::NoStore => ("No audit log", "This audit log cannot be read."),
            Self::Unauthenticated { .. } => ("Not authenticated", "Authentication is required."),
            Self::BadRequest(detail) => ("Malformed request", detail),
            Self::Forbidden => ("Not permitted", "Only an administrator can read another user's events."),
            Self::NotFound => ("Not found", "Event not found."),
            Self::MethodNotAllowed => ("Method not allowed", "The audit log is only read: GET or HEAD."),
            Self::GateFailed => ("Not available", "Authentication is temporarily unavailable. Try again."),
            Self::StoreUnavailable => ("Not available", "The audit log is temporarily unavailable. Try again."),
            Self::StoreFailed => ("Not readable", "The audit log cannot be read."),
            Self::StoreDenied => ("Not readable", "The role that this service has may not read the audit log."),
            Self::ReadNotRecorded => {
                ("Not available", "This read could not be recorded, so nothing is shown. Try again.")
            }
        }
    }
}

/// A problem document by RFC 9457, which names neither the store nor a cause. A detail may quote the request, so characters
/// that are not safe to look at are written as JSON's escapes.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (title, detail) = self.title_and_detail();
        let status = self.status();
        let document = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = Response::new(Body::from(escape_unsafe_chars(document.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if let Self::Unauthenticated { challenge } = self {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// When to try again: nothing has been done, and nothing is known of when it will work.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";
