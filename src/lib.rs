//! Audit middleware for tower.

pub mod capture;
pub(crate) mod clock;
pub mod event;
pub mod middleware;
pub mod policy;
pub mod query;
pub mod store;
pub mod writer;

pub use capture::{AuditContext, PeerAddr, ResultCount};
pub use event::{
    Actor, AuditEvent, Classification, Details, ErrorCode, EventError, EventId, EventType, Phase, RequestInfo,
    Resource, Timestamp,
};
pub use middleware::{AUDIT_EVENT_ID, AuditBody, AuditLayer, AuditService, ResponseFuture};
pub use policy::{AuditPolicy, FailMode, PolicyError, Rule, When};
pub use writer::{AuditLog, AuditLogBuilder, CloseError, OpenError, RecordError, Stats};
