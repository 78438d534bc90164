//! Error responses of the API.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::problem_details::ProblemDetails;

/// An error response. The first five are checked in this order.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No store, or none that can be read.
    NoStore,
    /// The caller is anonymous.
    Unauthenticated { challenge: HeaderValue },
    /// A parameter or an id is not valid; the text has the remedy.
    BadRequest(String),
    /// The filter names another user.
    Forbidden,
    /// No such event, or an event of another user: the responses are equal, byte for byte.
    NotFound,
    /// The event has no proof: it is not sealed, or another than the one that was. The caller may see it.
    #[cfg(feature = "seal")]
    NoProof,
    /// A method other than GET and HEAD.
    MethodNotAllowed,
    /// The gate failed, panicked or timed out.
    GateFailed,
    /// The store fails for now.
    StoreUnavailable,
    /// The store fails.
    StoreFailed,
    /// The service's account may not read the store.
    StoreDenied,
    /// The audit event of this read was not recorded.
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
            #[cfg(feature = "seal")]
            Self::NoProof => StatusCode::NOT_FOUND,
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
            #[cfg(feature = "seal")]
            Self::NoProof => {
                ("No proof", "There is no proof of this event: it is not sealed yet, or differs from the sealed one.")
            }
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (title, detail) = self.title_and_detail();
        let status = self.status();
        let mut response = ProblemDetails::new(status, title, detail).into_response().map(Body::from);
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if let Self::Unauthenticated { challenge } = self {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The value of `retry-after`. Retrying is safe: the API only reads.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";
