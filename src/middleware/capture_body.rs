//! The digest, and members, of a request's body, for rules that ask for them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tower_layer::Layer;
use tower_service::Service;

use crate::capture::AuditContext;
use crate::event::hex;
use crate::policy::{BodyCapture, MAX_BODY_BYTES, form_pairs};

/// Records the digest of the bodies of requests whose rule [asks for it](crate::Rule::capture_body), and members of JSON and
/// forms.
///
/// Put it directly inside of the [`AuditLayer`](crate::AuditLayer). The body streams past: the handler reads the same frames at
/// the same time, and at most [`MAX_BODY_BYTES`] of them are kept beside it. A request whose rule asks for nothing passes as it
/// is.
///
/// The event has `details.request_body`: `bytes`, the number that the handler has read; `sha256`, if it has read all; else
/// `complete`, false; and `content`, if members were asked for and the body was small enough. See `docs/capture.md`.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::post};
/// use tower::ServiceBuilder;
/// use tower_audit::middleware::CaptureBodyLayer;
/// use tower_audit::policy::{BodyCapture, presets};
/// use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// # let log = AuditLog::open("memory:").await?;
/// let upload = presets::ivre::upload().capture_body(BodyCapture::Digest);
/// let policy = AuditPolicy::builder().rule(upload).build()?;
/// let app: Router = Router::new()
///     .route("/scans", post(|| async { "stored" }))
///     .layer(CaptureBodyLayer::new())
///     .layer(AuditLayer::new(&log, policy));
/// # Ok(()) }
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CaptureBodyLayer;

impl CaptureBodyLayer {
    /// Makes the layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for CaptureBodyLayer {
    type Service = CaptureBody<S>;

    fn layer(&self, inner: S) -> CaptureBody<S> {
        CaptureBody { inner }
    }
}

/// The service that [`CaptureBodyLayer`] makes.
#[derive(Debug, Clone)]
pub struct CaptureBody<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for CaptureBody<S>
where
    S: Service<Request<CapturedBody<B>>>,
    B: Body<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = request.extensions().get::<AuditContext>().and_then(|context| {
            let capture = context.body_capture()?;
            Some(Box::new(BodyObserver::new(context.clone(), capture, request.headers())))
        });
        let (parts, body) = request.into_parts();
        let mut body = CapturedBody { body, observer: asked };
        body.note_end();
        self.inner.call(Request::from_parts(parts, body))
    }
}

pin_project! {
    /// The body of a request that has passed a [`CaptureBodyLayer`]: the frames of the inner body as they are.
    pub struct CapturedBody<B> {
        #[pin]
        body: B,
        // Absent where no rule asks for the body, and after its end.
        observer: Option<Box<BodyObserver>>,
    }
}

impl<B: Body> CapturedBody<B> {
    /// Records a body that is over before its first frame.
    fn note_end(&mut self) {
        if self.observer.is_some()
            && self.body.is_end_stream()
            && let Some(observer) = self.observer.take()
        {
            observer.end();
        }
    }
}

impl<B: Body<Data = Bytes>> Body for CapturedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        if let Some(observer) = this.observer.as_mut()
            && let Poll::Ready(frame) = &polled
        {
            if let Some(Ok(frame)) = frame
                && let Some(data) = frame.data_ref()
            {
                observer.update(data);
            }
            let is_over = match frame {
                None => true,
                Some(Ok(_)) => this.body.is_end_stream(),
                // Dropped: the body is not complete.
                Some(Err(_)) => {
                    *this.observer = None;
                    false
                }
            };
            if is_over && let Some(observer) = this.observer.take() {
                observer.end();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for CapturedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedBody").field("body", &self.body).finish_non_exhaustive()
    }
}

/// The format of a body whose members are recorded.
#[derive(Debug, Clone, Copy)]
enum MemberFormat {
    Json,
    Form,
}

impl MemberFormat {
    /// The format, by the content type. The body may be encoded all the same: see [`BodyObserver::members`].
    fn of(headers: &HeaderMap) -> Option<Self> {
        let name = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
        match name.as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/json" => Some(Self::Json),
            name if name.starts_with("application/") && name.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }
}

/// Observes a body that streams past.
struct BodyObserver {
    context: AuditContext,
    hash: Sha256,
    bytes: u64,
    format: Option<MemberFormat>,
    /// The body so far, if its members are asked for and it is small enough.
    content: Option<Vec<u8>>,
    is_complete: bool,
}

impl BodyObserver {
    fn new(context: AuditContext, capture: BodyCapture, headers: &HeaderMap) -> Self {
        let format = MemberFormat::of(headers).filter(|_| capture == BodyCapture::Redacted);
        let content = format.map(|_| Vec::new());
        Self { context, hash: Sha256::new(), bytes: 0, format, content, is_complete: false }
    }

    fn update(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.bytes += data.len() as u64;
        if let Some(content) = &mut self.content {
            if content.len() + data.len() <= MAX_BODY_BYTES {
                content.extend_from_slice(data);
            } else {
                self.content = None;
            }
        }
    }

    /// Records a body that was read to its end.
    fn end(mut self) {
        self.is_complete = true;
        // The drop records it.
    }

    /// The members of the body, to be redacted. An encoding that the headers name says nothing: many apps pass it over, and so
    /// does this. A compressed body is neither JSON nor UTF-8.
    fn members(&self) -> Option<Value> {
        let content = self.content.as_deref().filter(|content| !content.is_empty())?;
        match self.format? {
            MemberFormat::Json => serde_json::from_slice(content).ok(),
            MemberFormat::Form => {
                std::str::from_utf8(content).ok()?;
                let mut members = Map::new();
                for (name, value) in form_pairs(content) {
                    match members.get_mut(&name) {
                        None => _ = members.insert(name, value.into()),
                        Some(Value::Array(values)) => values.push(value.into()),
                        Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
                    }
                }
                Some(Value::Object(members))
            }
        }
    }
}

impl Drop for BodyObserver {
    fn drop(&mut self) {
        let mut details = Map::new();
        details.insert("bytes".to_owned(), self.bytes.into());
        if self.is_complete {
            let digest = std::mem::take(&mut self.hash).finalize();
            details.insert("sha256".to_owned(), hex::encode(&digest, &mut [0; 64]).into());
            if let Some(mut members) = self.members() {
                self.context.redact_members(&mut members);
                details.insert("content".to_owned(), members);
            }
        } else {
            details.insert("complete".to_owned(), false.into());
        }
        self.context.detail("request_body", Value::Object(details));
    }
}
