//! Trailers-only responses of gRPC for calls whose event was not written.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response};

use super::body::AuditBody;
use super::grpc_call_end::GRPC_STATUS;
use super::not_recorded::AUDIT_EVENT_ID;
use crate::capture::WithheldResponse;

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The delay, in milliseconds, after which a client with a retry policy tries again; negative: it does not (gRFC A6).
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The answer to a call whose event could not be written: a gRPC client reads no problem document.
pub(super) fn refused<B>(refusal: WithheldResponse) -> Response<AuditBody<B>> {
    // These texts need no percent-encoding.
    let (code, pushback, message) = if refusal.has_run {
        ("2", "-1", "possibly done, not recorded in the audit log; do not repeat it without checking")
    } else {
        ("14", "1000", "not done, for it could not be recorded in the audit log; it is safe to try again")
    };
    let mut response = Response::new(AuditBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from_static(pushback));
    // 32 hexadecimal digits are a header value.
    if let Ok(value) = HeaderValue::from_str(refusal.event_id.to_hex().as_str()) {
        headers.insert(AUDIT_EVENT_ID, value);
    }
    response
}
