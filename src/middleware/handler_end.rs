//! The end of a handler.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{Extensions, HeaderValue, Response, StatusCode};
use http_body::Body;

use super::body::AuditBody;
use super::body_end_event::BodyEndEvent;
use super::body_error::BodyError;
use super::grpc_call_end::{self, GrpcCallEnd};
use super::not_recorded::AUDIT_RECEIPT;
use super::read_ahead::ReadAhead;
use super::scoped_future::PanicPayload;
use crate::capture::EndKind;
use crate::event::EventId;

/// The end of a handler.
pub(super) enum HandlerEnd<R, E> {
    Response(Parts, R),
    /// The response to a gRPC call, read ahead. None: its end is still to come.
    Call(Parts, Pin<Box<ReadAhead<R>>>, Option<GrpcCallEnd>),
    Error(E),
    Panic(PanicPayload),
    /// Its future was dropped before it was ready.
    Dropped,
}

/// The size of a response's body, as far as it is known before its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodySize {
    /// The server does not poll the body: it has no frame, or the head of the response says so.
    None,
    /// The server polls the body. With a length, it does so until that many bytes have come.
    Streamed(Option<u64>),
}

impl BodySize {
    fn of(parts: &Parts, body: &impl Body) -> Self {
        let status = parts.status;
        let is_bodiless =
            status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = announced.or_else(|| body.size_hint().exact());
        if is_bodiless || length == Some(0) || body.is_end_stream() { Self::None } else { Self::Streamed(length) }
    }

    /// The size of the body that is sent to a request of this method (RFC 9112 section 6.3).
    pub(super) fn answering(self, method: Option<&str>, status: Option<StatusCode>) -> Self {
        match method {
            Some("HEAD") => Self::None,
            Some("CONNECT") if status.is_some_and(|status| status.is_success()) => Self::None,
            _ => self,
        }
    }
}

/// The output of a lifecycle. None only after [`HandlerEnd::Dropped`].
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

    /// Names the event of the response, if there is a response. Without an event, a receipt of others is removed.
    pub(super) fn give_receipt(&mut self, event_id: Option<EventId>) {
        let (Self::Response(parts, _) | Self::Call(parts, ..)) = self else { return };
        match event_id.and_then(|id| HeaderValue::from_str(id.to_hex().as_str()).ok()) {
            Some(id) => drop(parts.headers.insert(AUDIT_RECEIPT, id)),
            None => drop(parts.headers.remove(AUDIT_RECEIPT)),
        }
    }

    /// Returns true for the response to a gRPC call that is not read ahead yet.
    pub(super) fn is_unread_call(&self) -> bool {
        if let Self::Response(parts, _) = self { grpc_call_end::is_response(parts) } else { false }
    }

    /// Returns true for the response to a gRPC call whose end is still to come.
    pub(super) fn is_open_call(&self) -> bool {
        matches!(self, Self::Call(_, _, None))
    }

    /// The end of the call, if it is one and the end is known.
    pub(super) fn of_call(&self) -> Option<GrpcCallEnd> {
        if let Self::Call(_, _, end) = self { *end } else { None }
    }

    pub(super) fn is_abnormal(&self) -> bool {
        self.kind() != EndKind::Response || self.of_call().is_some_and(GrpcCallEnd::is_abnormal)
    }

    /// The outcome, if there is one yet.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Response(parts, _) => Some(parts.status),
            Self::Call(_, _, end) => end.map(GrpcCallEnd::status),
            Self::Error(_) | Self::Panic(_) => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Dropped => None,
        }
    }

    /// The detail of an end without a response.
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
        let end = match GrpcCallEnd::given(&parts.headers) {
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

    /// Asks the body of the response for its size. That is code of the app's: if it panics, so has the handler.
    pub(super) fn inspect_body(&mut self) -> BodySize {
        let inspected = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Response(parts, body) => BodySize::of(parts, &*body),
            Self::Call(parts, body, _) => BodySize::of(parts, &**body),
            _ => BodySize::None,
        }));
        inspected.unwrap_or_else(|panic| {
            *self = Self::Panic(panic);
            BodySize::None
        })
    }

    /// Releases the handler's response, error or panic.
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
