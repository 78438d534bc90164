//! Refusals of requests whose event was not written.

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::body::AuditBody;
use crate::event::EventId;
use crate::problem_details::ProblemDetails;

/// The header that gives the id to quote when an event could not be written.
pub const AUDIT_EVENT_ID: HeaderName = HeaderName::from_static("audit-event-id");

/// The header that names the event of a recorded response, if its layer [gives receipts](crate::AuditLayer::receipts). Another
/// one than that of a refusal, after which a client may try again.
pub const AUDIT_RECEIPT: HeaderName = HeaderName::from_static("audit-receipt");

/// The delay after which a client may try again, in seconds. Short: nothing has been done, and the writer recovers.
const RETRY_AFTER_SECONDS: &str = "1";

/// The answer to a request that was not carried out: its handler has not run.
pub(super) fn not_executed<B>(id: EventId) -> Response<AuditBody<B>> {
    let mut response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        id,
        "Not done, not recorded",
        "The request was not carried out, because it could not be recorded in the audit log. It is safe to try again.",
    );
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

/// The answer to a request that may have been carried out: its handler has run.
pub(super) fn possibly_executed<B>(id: EventId) -> Response<AuditBody<B>> {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        id,
        "Possibly done, not recorded",
        "The request may have been carried out, but its end could not be recorded in the audit log. Do not repeat it \
         without checking.",
    )
}

fn problem<B>(status: StatusCode, id: EventId, title: &str, detail: &str) -> Response<AuditBody<B>> {
    let document = ProblemDetails::new(status, title, detail).with("audit_event_id", id.to_string());
    let mut response = document.into_response().map(AuditBody::problem);
    // 32 hexadecimal digits are a header value.
    if let Ok(value) = HeaderValue::from_str(id.to_hex().as_str()) {
        response.headers_mut().insert(AUDIT_EVENT_ID, value);
    }
    response
}
