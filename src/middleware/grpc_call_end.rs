//! The end of a gRPC call: its `grpc-status`, in the trailers of the response, or in its head if nothing else follows. The
//! HTTP status is 200 in any case.

use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode};

use super::record_decision::{RecordDecision, decide};
use crate::capture::{AuditContext, is_grpc};
use crate::event::{AuditEvent, ErrorCode};
use crate::policy::RequestOutcome;

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const UNKNOWN: u32 = 2;

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrpcCallEnd {
    /// The server sent this code.
    Code(u32),
    /// The response ended without a code, which clients take for `UNKNOWN`.
    Missing,
    /// The body ended in an error.
    Broken,
    /// The client left before the end.
    Cancelled,
}

impl GrpcCallEnd {
    /// The end of a call that was refused after its handler had run.
    pub(super) const REFUSED: Self = Self::Code(UNKNOWN);

    /// The end by these trailers.
    pub(super) fn of(trailers: &HeaderMap) -> Self {
        Self::given(trailers).unwrap_or(Self::Missing)
    }

    /// The end by the head of a response that has no more than that.
    pub(super) fn given(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_STATUS)?.as_bytes();
        let digits = value.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(value).ok()).flatten();
        Some(Self::Code(digits.and_then(|digits| digits.parse().ok()).unwrap_or(UNKNOWN)))
    }

    /// The HTTP status of the code: the mapping of `google/rpc/code.proto`, whose codes are those of gRPC.
    pub(super) fn status(self) -> StatusCode {
        let status = match self {
            Self::Code(code) => CODES.get(code as usize).copied().unwrap_or(500),
            Self::Missing | Self::Broken => 500,
            Self::Cancelled => 499,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn is_abnormal(self) -> bool {
        matches!(self, Self::Broken | Self::Cancelled)
    }

    /// Writes the end of the call into its event.
    pub(super) fn describe(self, event: &mut AuditEvent) {
        event.outcome = Some(self.status().as_u16());
        if event.classification.error.is_none() {
            event.classification.error = ErrorCode::from_status(self.status());
        }
        match self {
            Self::Code(code) => {
                event.details.insert("grpc_status".into(), code.into());
            }
            Self::Broken => {
                event.details.insert("body_end".into(), "error".into());
            }
            Self::Missing | Self::Cancelled => {}
        }
    }

    /// The decision of a layer's rules about the end of a call that has been started.
    pub(super) fn decided(self, context: &AuditContext, result_count: Option<u64>) -> Option<RecordDecision> {
        let attempts = context.lock();
        let attempt = &attempts[context.attempt()];
        let declared = attempts.declared(context.attempt());
        let ended = RequestOutcome {
            status: Some(self.status()),
            abnormal: self.is_abnormal(),
            result_count,
            declared_type: declared.as_ref(),
        };
        decide(&attempt.layer.as_ref()?.policy, attempt.matching_rules, &ended, attempt.started.as_ref())
    }
}

/// The statuses of the codes 0 to 16.
const CODES: [u16; 17] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/// The first decision of `decide` about any end that an open call may come to. It gets the status, and true for an
/// abnormal end.
pub(super) fn any_end<T>(decide: impl Fn(Option<StatusCode>, bool) -> Option<T>) -> Option<T> {
    let codes = (0..).take(CODES.len()).map(GrpcCallEnd::Code);
    let mut ends = codes.chain([GrpcCallEnd::Broken, GrpcCallEnd::Cancelled]);
    ends.find_map(|end| decide(Some(end.status()), end.is_abnormal()))
}

/// Returns true for the head of a response to a call. The server's content type decides: the client may send any.
pub(super) fn is_response(parts: &Parts) -> bool {
    parts.headers.get(CONTENT_TYPE).is_some_and(is_grpc)
        && (parts.status == StatusCode::OK || parts.headers.contains_key(GRPC_STATUS))
}
