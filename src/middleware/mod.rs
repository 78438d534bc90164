//! The tower middleware: plumbing only.
//!
//! A request takes one of three ways through [`AuditService`]:
//!
//! - **Off.** The log is off: the inner service's future, untouched.
//! - **Watched.** No rule names the request. Its future is polled in place, without an allocation, and its response is
//!   inspected: a declared event type or too many results still make an event.
//! - **Audited.** A rule names the request. Its lifecycle is one boxed future (`lifecycle.rs`) that owns everything it
//!   needs. If the caller drops it, it moves to the log's runtime and runs to its end there.

mod body;
mod body_end_event;
mod body_error;
mod call_end;
mod cancellable;
mod future;
mod handler_end;
mod instrumented;
mod layer;
mod lifecycle;
mod not_recorded;
#[cfg(feature = "route-coverage")]
pub(crate) mod probe;
mod read_ahead;
mod record_decision;
mod response_mark;
mod service;
mod trailers_only;
mod transactional;

pub use body::AuditBody;
pub use body_error::BodyError;
pub use future::ResponseFuture;
pub use layer::AuditLayer;
pub use not_recorded::AUDIT_EVENT_ID;
pub use service::AuditService;
