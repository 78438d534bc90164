//! The end of a handler.

use std::panic::resume_unwind;

use bytes::Bytes;
use http::response::Parts;
use http::{Extensions, Response, StatusCode};
use http_body::Body;

use super::body::EndOfBody;
use super::scoped::Panic;
use super::{AuditBody, BodyError};
use crate::capture::EndKind;

/// How a handler ended.
pub(super) enum End<R, E> {
    Response(Parts, R),
    Error(E),
    Panic(Panic),
    /// Nobody polled it to its end, and it could not be driven there.
    Dropped,
}

/// What a course ends with. None only after [`End::Dropped`].
pub(super) type Released<R, E> = Option<Result<Response<AuditBody<R>>, E>>;

impl<R, E> End<R, E> {
    /// The end of a handler whose future is ready.
    pub(super) fn of(result: Result<Result<Response<R>, E>, Panic>) -> Self {
        match result {
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                Self::Response(parts, body)
            }
            Ok(Err(error)) => Self::Error(error),
            Err(panic) => Self::Panic(panic),
        }
    }

    pub(super) fn kind(&self) -> EndKind {
        match self {
            Self::Response(..) => EndKind::Response,
            Self::Error(_) => EndKind::Error,
            Self::Panic(_) => EndKind::Panic,
            Self::Dropped => EndKind::Dropped,
        }
    }

    /// The head of the response, if there is one.
    pub(super) fn parts(&self) -> Option<&Parts> {
        if let Self::Response(parts, _) = self { Some(parts) } else { None }
    }

    pub(super) fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        if let Self::Response(parts, _) = self { Some(&mut parts.extensions) } else { None }
    }

    /// The outcome, if there is one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Response(parts, _) => Some(parts.status),
            Self::Error(_) | Self::Panic(_) => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Dropped => None,
        }
    }

    /// The detail that says that it was no response.
    pub(super) fn detail(&self) -> Option<&'static str> {
        match self {
            Self::Response(..) => None,
            Self::Error(_) => Some("service_error"),
            Self::Panic(_) => Some("panic"),
            Self::Dropped => Some("aborted"),
        }
    }
}

impl<R: Body, E> End<R, E> {
    /// Whether the client will be sent a body whose end can be waited for.
    pub(super) fn has_body(&self, method: Option<&str>) -> bool {
        let Self::Response(Parts { status, .. }, body) = self else { return false };
        let is_bodiless =
            status.is_informational() || *status == StatusCode::NO_CONTENT || *status == StatusCode::NOT_MODIFIED;
        !is_bodiless && method != Some("HEAD") && !body.is_end_stream()
    }

    /// The length that the response announces.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.parts()?.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

impl<R, E> End<R, E>
where
    R: Body,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    /// Lets go of what the handler made.
    pub(super) fn release(self, end_of_body: Option<EndOfBody>) -> Released<R, E> {
        match self {
            Self::Response(parts, body) => Some(Ok(Response::from_parts(parts, AuditBody::inner(body, end_of_body)))),
            Self::Error(error) => Some(Err(error)),
            Self::Panic(panic) => resume_unwind(panic),
            Self::Dropped => None,
        }
    }
}
