//! Problem documents (RFC 9457) as responses. They name neither the store nor a cause.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use crate::export::escape_unsafe_chars;

/// A problem document that is being made.
#[derive(Debug)]
pub(crate) struct ProblemDetails {
    status: StatusCode,
    members: Map<String, Value>,
}

impl ProblemDetails {
    /// Describes a problem of the type `about:blank`.
    pub(crate) fn new(status: StatusCode, title: &str, detail: &str) -> Self {
        let members = Map::from_iter([
            ("type".to_owned(), "about:blank".into()),
            ("title".to_owned(), title.into()),
            ("status".to_owned(), status.as_u16().into()),
            ("detail".to_owned(), detail.into()),
        ]);
        Self { status, members }
    }

    /// Adds a member of our own.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Makes the response. A detail may quote the request, so characters that are not safe to look at are written as JSON's
    /// escapes.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let text = escape_unsafe_chars(Value::Object(self.members).to_string());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
