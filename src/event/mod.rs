//! The event: plain data, without I/O or async.

mod actor;
pub(crate) mod address;
mod audit_event;
mod classification;
mod compact_text;
mod details;
mod error;
mod error_code;
mod event_type;
mod extensible_struct;
mod id;
pub mod limits;
mod names;
mod phase;
mod request;
mod resource;
mod timestamp;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod undecodable;
mod weight;

pub use actor::Actor;
pub use audit_event::AuditEvent;
pub use classification::Classification;
pub use compact_text::CompactText;
pub use details::Details;
pub use error::EventError;
pub use error_code::ErrorCode;
pub use event_type::EventType;
pub use id::{EventId, EventIdHex};
pub use phase::Phase;
pub use request::RequestInfo;
pub use resource::Resource;
pub use timestamp::Timestamp;
