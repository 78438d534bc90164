//! The body of a response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::body_end_event::BodyEndEvent;
use super::body_error::BodyError;
use super::grpc_call_end::GrpcCallEnd;
use super::read_ahead::{ReadAhead, with_more};

pin_project! {
    /// The body of a response that has passed an [`AuditLayer`](crate::AuditLayer).
    ///
    /// It forwards the frames, the trailers, the size and the end of the inner body. If the rule asks for an event at the
    /// end of the body, or a gRPC call streams its answer, the last frame is held back until the event is durable. If the
    /// event cannot be written, the body ends in an error, so that the client does not take it for complete.
    pub struct AuditBody<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<R> {
        Inner { #[pin] body: R },
        // Boxed: all other bodies would have room for it.
        Ending { #[pin] body: R, end: Box<BodyWithEvent> },
        Call { body: Pin<Box<ReadAhead<R>>>, end: Option<Box<BodyWithEvent>> },
        Problem { document: Option<Bytes> },
    }
}

struct BodyWithEvent {
    end_of_body: BodyEndEvent,
    /// The last frame or the error of the inner body, until the event is written.
    held: Option<HeldFrame>,
}

enum HeldFrame {
    Data(Bytes),
    Trailers(http::HeaderMap),
    Error(BodyError),
    Empty,
}

impl<R> AuditBody<R> {
    pub(super) fn inner(body: R, end_of_body: Option<BodyEndEvent>) -> Self {
        let kind = match end_of_body {
            None => Kind::Inner { body },
            Some(end_of_body) => Kind::Ending { body, end: BodyWithEvent::new(end_of_body) },
        };
        Self { kind }
    }

    pub(super) fn call(body: Pin<Box<ReadAhead<R>>>, end_of_body: Option<BodyEndEvent>) -> Self {
        Self { kind: Kind::Call { body, end: end_of_body.map(BodyWithEvent::new) } }
    }

    pub(super) fn empty() -> Self {
        Self { kind: Kind::Problem { document: None } }
    }

    pub(super) fn problem(document: Bytes) -> Self {
        Self { kind: Kind::Problem { document: Some(document) } }
    }
}

/// The default of the inner body, for layers further out that make a response (a timeout does).
impl<R: Default> Default for AuditBody<R> {
    fn default() -> Self {
        Self::inner(R::default(), None)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<R> Body for AuditBody<R>
where
    R: Body,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    type Data = R::Data;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, BodyError>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => body.poll_frame(cx).map_err(Into::into),
            KindProj::Ending { body, end } => poll_ending(body, end, cx),
            KindProj::Call { body, end: Some(end) } => poll_ending(body.as_mut(), end, cx),
            KindProj::Call { body, end: None } => body.as_mut().poll_frame(cx),
            KindProj::Problem { document } => {
                Poll::Ready(document.take().map(|document| Ok(Frame::data(R::Data::from(document)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Ending { body, end } => end.is_over() && body.is_end_stream(),
            Kind::Call { body, end } => end.as_ref().is_none_or(|end| end.is_over()) && body.is_end_stream(),
            Kind::Problem { document } => document.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Ending { body, end } => with_more(&body.size_hint(), end.held_bytes()),
            Kind::Call { body, end } => with_more(&body.size_hint(), end.as_ref().map_or(0, |end| end.held_bytes())),
            Kind::Problem { document } => SizeHint::with_exact(document.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

fn poll_ending<R>(
    mut body: Pin<&mut R>,
    end: &mut BodyWithEvent,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<R::Data>, BodyError>>>
where
    R: Body,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    loop {
        if end.held.is_some() {
            let result = ready!(end.end_of_body.poll_written(cx));
            let held = end.held.take();
            if let Err(error) = result {
                return Poll::Ready(Some(Err(Box::new(error))));
            }
            return Poll::Ready(match held {
                Some(HeldFrame::Data(data)) => Some(Ok(Frame::data(R::Data::from(data)))),
                Some(HeldFrame::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Some(HeldFrame::Error(error)) => Some(Err(error)),
                Some(HeldFrame::Empty) | None => None,
            });
        }
        if end.end_of_body.is_written() {
            return body.poll_frame(cx).map_err(Into::into);
        }
        let frame = match ready!(body.as_mut().poll_frame(cx)) {
            None => {
                end.hold(HeldFrame::Empty);
                continue;
            }
            Some(Err(error)) => {
                end.hold(HeldFrame::Error(error.into()));
                continue;
            }
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(mut data) => {
                end.end_of_body.bytes += data.remaining() as u64;
                // The trailers of a call are still to come.
                let is_last = body.is_end_stream()
                    || end.end_of_body.call.is_none()
                        && (body.size_hint().exact() == Some(0)
                            || end.end_of_body.length.is_some_and(|length| end.end_of_body.bytes >= length));
                if !is_last {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                let data = data.copy_to_bytes(data.remaining());
                end.hold(HeldFrame::Data(data));
            }
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => end.hold(HeldFrame::Trailers(trailers)),
                Err(other) => return Poll::Ready(Some(Ok(other))),
            },
        }
    }
}

impl BodyWithEvent {
    fn new(end_of_body: BodyEndEvent) -> Box<Self> {
        Box::new(Self { end_of_body, held: None })
    }

    fn hold(&mut self, held: HeldFrame) {
        let complete = self.end_of_body.completeness();
        let (body_end, call) = match &held {
            HeldFrame::Data(_) | HeldFrame::Empty => (complete, GrpcCallEnd::Missing),
            HeldFrame::Trailers(trailers) => (complete, GrpcCallEnd::of(trailers)),
            HeldFrame::Error(_) => ("error", GrpcCallEnd::Broken),
        };
        self.held = Some(held);
        self.end_of_body.begin(body_end, call);
    }

    fn is_over(&self) -> bool {
        self.end_of_body.is_written() && self.held.is_none()
    }

    fn held_bytes(&self) -> u64 {
        if let Some(HeldFrame::Data(data)) = &self.held { data.len() as u64 } else { 0 }
    }
}

impl<R> fmt::Debug for AuditBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditBody").finish_non_exhaustive()
    }
}
