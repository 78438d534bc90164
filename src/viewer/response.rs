//! Responses: common headers, and pages with deferred parts.

use std::future::Future;
use std::pin::Pin;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};

use crate::api::error::ApiError;

/// The content security policy: only the viewer's own stylesheet, icon and forms.
pub(super) const CONTENT_SECURITY_POLICY_VALUE: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                 frame-ancestors 'none'; base-uri 'none'";

/// Adds headers that keep a page from running scripts, leaking its address or being framed.
pub(super) async fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_VALUE),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The address of a page has filters, such as names of people.
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // The stylesheet and the icon have a header of their own.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Renders a page.
pub(super) fn page(template: &impl Template) -> Result<Response, ApiError> {
    // Writing to memory does not fail.
    Ok(html(template.render().map_err(|_| ApiError::StoreFailed)?))
}

/// The mark of a deferred part. No value can contain it: `<` is escaped.
pub(super) const PLACEHOLDER: &str = "<!--later-->";

/// A part of a page that is rendered later.
pub(super) type DeferredPart = Pin<Box<dyn Future<Output = String> + Send>>;

/// Streams a page. Each of `parts` replaces a [`PLACEHOLDER`] as soon as it is ready.
pub(super) fn page_with_parts(template: &impl Template, parts: Vec<DeferredPart>) -> Result<Response, ApiError> {
    let page = template.render().map_err(|_| ApiError::StoreFailed)?;
    let mut pieces = page.split(PLACEHOLDER).map(str::to_owned);
    let beginning = pieces.next().unwrap_or_default();
    let pieces: Vec<_> = pieces.collect();
    debug_assert_eq!(pieces.len(), parts.len(), "each part has its place");
    let rest = stream::iter(parts.into_iter().zip(pieces)).then(async |(part, piece)| part.await + &piece);
    let body = stream::once(std::future::ready(beginning)).chain(rest);
    Ok(html(Body::from_stream(body.map(|chunk| Ok::<_, std::convert::Infallible>(Bytes::from(chunk))))))
}

pub(super) fn html(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
