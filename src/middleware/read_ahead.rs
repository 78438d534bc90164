//! A body that was read ahead.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::body_error::BodyError;
use super::grpc_call_end::GrpcCallEnd;

/// The maximum number of frames that are read ahead.
const MAX_FRAMES: usize = 64;
/// The maximum number of bytes that are read ahead. A single frame may have more: it is in memory anyway.
const MAX_BYTES: usize = 256 * 1024;

pin_project! {
    /// A body whose first frames are read ahead. It yields those, and then the others.
    pub(super) struct ReadAhead<R> {
        #[pin]
        body: R,
        frames: VecDeque<Ahead>,
        // The bytes of data in these frames.
        bytes: usize,
        // The body has ended behind them.
        is_over: bool,
    }
}

/// A frame, or the error in its place.
enum Ahead {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(BodyError),
}

impl<R> ReadAhead<R> {
    pub(super) fn new(body: R) -> Self {
        Self { body, frames: VecDeque::new(), bytes: 0, is_over: false }
    }
}

impl<R> ReadAhead<R>
where
    R: Body,
    R::Error: Into<BodyError>,
{
    /// Reads the frames that are ready, within the bounds. Returns the end of the call, if it was reached.
    pub(super) fn read(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<GrpcCallEnd> {
        let mut this = self.project();
        while this.frames.len() < MAX_FRAMES && (this.frames.len() < 2 || *this.bytes < MAX_BYTES) {
            let (frame, end) = match this.body.as_mut().poll_frame(cx) {
                Poll::Pending => return None,
                Poll::Ready(None) => (None, Some(GrpcCallEnd::Missing)),
                Poll::Ready(Some(Err(error))) => (Some(Ahead::Error(error.into())), Some(GrpcCallEnd::Broken)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(mut data) => {
                        *this.bytes += data.remaining();
                        (Some(Ahead::Data(data.copy_to_bytes(data.remaining()))), None)
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let end = GrpcCallEnd::of(&trailers);
                        (Some(Ahead::Trailers(trailers)), Some(end))
                    }
                },
            };
            this.frames.extend(frame);
            if end.is_some() {
                *this.is_over = true;
                return end;
            }
        }
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl<R> Body for ReadAhead<R>
where
    R: Body,
    R::Data: From<Bytes>,
    R::Error: Into<BodyError>,
{
    type Data = R::Data;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, BodyError>>> {
        let this = self.project();
        match this.frames.pop_front() {
            Some(Ahead::Data(data)) => {
                *this.bytes -= data.len();
                Poll::Ready(Some(Ok(Frame::data(R::Data::from(data)))))
            }
            Some(Ahead::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Ahead::Error(error)) => Poll::Ready(Some(Err(error))),
            None if *this.is_over => Poll::Ready(None),
            None => this.body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && (self.is_over || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // The body's own, even if it is over: the layer announces no length that the app did not.
        with_more(&self.body.size_hint(), self.bytes as u64)
    }
}

/// Adds so many bytes to a size.
pub(super) fn with_more(rest: &SizeHint, bytes: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower() + bytes);
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper + bytes);
    }
    hint
}
