//! The tower middleware: plumbing only.
//!
//! A request takes one of three ways through [`AuditService`]:
//!
//! - **Off.** The log is off: the inner service's future, untouched.
//! - **Watched.** No rule names the request. Its future is polled in place, without an allocation, and its response is
//!   looked at: a handler that declares an event type, or a result count past the limit, still make an event.
//! - **Audited.** A rule names the request. Its whole course is one boxed future (`course.rs`), which owns everything it
//!   needs. When whoever polls it lets go of it, it moves to the runtime of the log and runs to its end there.

mod abandonable;
mod body;
mod course;
mod decided;
mod end;
mod future;
mod grpc;
mod in_transaction;
mod layer;
mod mark;
mod problem;
mod read_ahead;
#[cfg(feature = "axum")]
pub(crate) mod roll_call;
mod scoped;
mod service;

pub use body::{AuditBody, BodyError};
pub use future::ResponseFuture;
pub use layer::AuditLayer;
pub use problem::AUDIT_EVENT_ID;
pub use service::AuditService;
