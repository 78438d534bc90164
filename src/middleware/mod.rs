//! The tower middleware: plumbing only.
//!
//! A request takes one of three ways through [`AuditService`]:
//!
//! - **Off.** The log is off: the inner service's future, untouched.
//! - **Watched.** No rule names the request. Its future is polled in place, without an allocation, and its response is
//!   inspected: a declared event type or too many results still make an event.
//! - **Audited.** A rule names the request. Its lifecycle is one boxed future that owns everything it
//!   needs. If the caller drops it, it moves to the log's runtime and runs to its end there.
//!
//! The lifecycle, in the order of its steps:
//!
//! | file | holds |
//! |---|---|
//! | `layer.rs`, `service.rs` | the decision which way a request takes |
//! | `future.rs` | the future of a response, and its move to the log's runtime |
//! | `end_claim.rs`, `lifecycle.rs` | the lifecycle and its claim |
//! | `started_event.rs` | `started`, before the handler is called |
//! | `scoped_future.rs`, `cancellable.rs`, `handler_end.rs` | the run of the handler, and its end |
//! | `event_disposition.rs`, `record_decision.rs` | the event for that end |
//! | `response_release.rs`, `response_mark.rs` | the write of the event, and then the release of the response |
//! | `body.rs`, `body_end_event.rs` | an event at the end of the body |
//! | `capture_body.rs` | the digest of a request's body, by a layer of its own |
//! | `request_span.rs` | the span of the request in the app's subscriber |
//! | `grpc_call_end.rs`, `read_ahead.rs`, `trailers_only.rs` | gRPC |

mod body;
mod body_end_event;
mod body_error;
mod cancellable;
mod capture_body;
mod end_claim;
mod event_disposition;
mod future;
mod grpc_call_end;
mod handler_end;
mod layer;
#[cfg(feature = "route-coverage")]
pub(crate) mod layer_probe;
mod lifecycle;
mod not_recorded;
mod read_ahead;
mod record_decision;
mod request_span;
mod response_mark;
mod response_release;
mod scoped_future;
mod service;
mod started_event;
mod trailers_only;
mod transactional;

pub use body::AuditBody;
pub use body_error::BodyError;
pub use capture_body::{CaptureBody, CaptureBodyLayer, CapturedBody};
pub use future::ResponseFuture;
pub use layer::AuditLayer;
pub use not_recorded::{AUDIT_EVENT_ID, AUDIT_RECEIPT};
pub use service::AuditService;
