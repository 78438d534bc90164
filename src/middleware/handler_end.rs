//! The end of a handler.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::response::Parts;
use http::{Extensions, Response, StatusCode};
use http_body::Body;

use super::body::AuditBody;
use super::body_end_event::BodyEndEvent;
use super::body_error::BodyError;
use super::call_end::{self, CallEnd};
use super::instrumented::PanicPayload;
use super::read_ahead::ReadAhead;
use crate::capture::EndKind;

/// How a handler ended.
pub(super) enum HandlerEnd<R, E> {
    Response(Parts, R),
    /// The response to a gRPC call, read ahead. None: its end is still to come.
    Call(Parts, Pin<Box<ReadAhead<R>>>, Option<CallEnd>),
    Error(E),
    Panic(PanicPayload),
    /// Nobody polled it to its end, and it could not be driven there.
    Dropped,
}

/// What a course ends with. None only after [`HandlerEnd::Dropped`].
pub(super) type LifecycleOutput<R, E> = Option<Result<Response<AuditBody<R>>, E>>;

impl<R, E> HandlerEnd<R, E> {
    /// The end of a handler whose future is ready.
    pub(super) fn of(result: Result<Result<Response<R>, E>, PanicPayload>) -> Self {
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
            Self::Response(..) | Self::Call(..) => EndKind::Response,
            Self::Error(_) => EndKind::Error,
            Self::Panic(_) => EndKind::Panic,
            Self::Dropped => EndKind::Dropped,
        }
    }

    /// The head of the response, if there is one.
    pub(super) fn parts(&self) -> Option<&Parts> {
        if let Self::Response(parts, _) | Self::Call(parts, ..) = self { Some(parts) } else { None }
    }

    pub(super) fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        if let Self::Response(parts, _) | Self::Call(parts, ..) = self { Some(&mut parts.extensions) } else { None }
    }

    /// Whether it is the response to a gRPC call that nobody has looked into.
    pub(super) fn is_unread_call(&self) -> bool {
        if let Self::Response(parts, _) = self { call_end::is_response(parts) } else { false }
    }

    /// Whether it is the response to a gRPC call whose end is still to come.
    pub(super) fn is_open_call(&self) -> bool {
        matches!(self, Self::Call(_, _, None))
    }

    /// The end of the call, if it is one and the end is known.
    pub(super) fn of_call(&self) -> Option<CallEnd> {
        if let Self::Call(_, _, end) = self { *end } else { None }
    }

    pub(super) fn is_abnormal(&self) -> bool {
        self.kind() != EndKind::Response || self.of_call().is_some_and(CallEnd::is_abnormal)
    }

    /// The outcome, if there is one yet.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Response(parts, _) => Some(parts.status),
            Self::Call(_, _, end) => end.map(CallEnd::status),
            Self::Error(_) | Self::Panic(_) => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Dropped => None,
        }
    }

    /// The detail that says that it was no response.
    pub(super) fn detail(&self) -> Option<&'static str> {
        match self {
            Self::Response(..) | Self::Call(..) => None,
            Self::Error(_) => Some("service_error"),
            Self::Panic(_) => Some("panic"),
            Self::Dropped => Some("aborted"),
        }
    }
}

impl<R, E> HandlerEnd<R, E>
where
    R: Body,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    /// Reads ahead the response to a gRPC call: a call that is answered at once comes to its end here.
    pub(super) async fn read_ahead(self) -> Self {
        let Self::Response(parts, body) = self else { return self };
        let mut body = Box::pin(ReadAhead::new(body));
        let end = match CallEnd::given(&parts.headers) {
            None => {
                let read = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| body.as_mut().read(cx)))));
                match read.await {
                    Ok(end) => end,
                    Err(panic) => return Self::Panic(panic),
                }
            }
            given => given,
        };
        Self::Call(parts, body, end)
    }

    /// Whether the client will be sent a body whose end can be waited for.
    pub(super) fn has_body(&self, method: Option<&str>) -> bool {
        let (status, is_over) = match self {
            Self::Response(parts, body) => (parts.status, body.is_end_stream()),
            Self::Call(parts, body, _) => (parts.status, body.is_end_stream()),
            _ => return false,
        };
        let is_bodiless =
            status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        !is_bodiless && method != Some("HEAD") && !is_over
    }

    /// The length that the response announces.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.parts()?.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Lets go of what the handler made.
    pub(super) fn release(self, end_of_body: Option<BodyEndEvent>) -> LifecycleOutput<R, E> {
        match self {
            Self::Response(parts, body) => Some(Ok(Response::from_parts(parts, AuditBody::inner(body, end_of_body)))),
            Self::Call(parts, body, _) => Some(Ok(Response::from_parts(parts, AuditBody::call(body, end_of_body)))),
            Self::Error(error) => Some(Err(error)),
            Self::Panic(panic) => resume_unwind(panic),
            Self::Dropped => None,
        }
    }
}
