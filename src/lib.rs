//! Audit middleware for tower.

pub(crate) mod clock;
pub mod event;
pub mod policy;
pub mod query;
pub mod store;

pub use event::{
    Actor, AuditEvent, Classification, Details, ErrorCode, EventError, EventId, EventType, Phase, RequestInfo,
    Resource, Timestamp,
};
pub use policy::{AuditPolicy, FailMode, PolicyError, Rule, When};
