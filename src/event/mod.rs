//! The event: plain data, without I/O or async.

pub mod limits;
pub mod nexus_iq;

pub(crate) mod hex;

mod truncate;

mod details;
mod error;

mod borrowed_text;
mod compact_text;
mod error_code;
mod event_type;
mod event_type_filter;
mod id;
mod phase;
mod timestamp;

pub(crate) mod address;

mod extensible_struct;

mod action_labels;
mod actor;
mod request;
mod resource;
mod target;
mod targets;

mod audit_event;

mod erased;
mod fields;

#[cfg(any(unix, feature = "sqlite", feature = "postgres", feature = "mysql", feature = "nats"))]
mod encoding;
#[cfg(any(unix, feature = "sqlite", feature = "postgres", feature = "mysql", feature = "nats"))]
mod event_json;

mod fit;

mod bounded_event;

#[cfg(any(
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql",
    feature = "jsonl",
    feature = "mongodb",
    feature = "duckdb"
))]
pub(crate) mod undecodable;

pub use action_labels::Classification;
pub use actor::Actor;
pub use audit_event::AuditEvent;
pub(crate) use borrowed_text::BorrowedText;
pub(crate) use bounded_event::BoundedEvent;
pub use compact_text::CompactText;
pub use details::Details;
#[cfg(any(unix, feature = "sqlite", feature = "postgres", feature = "mysql", feature = "nats"))]
pub(crate) use encoding::WriteJson;
#[cfg(feature = "sqlite")]
pub(crate) use encoding::needs_escape;
pub use erased::ERASED_MEMBER;
pub(crate) use erased::is_erased_mark;
pub use error::EventError;
pub use error_code::ErrorCode;
pub use event_type::EventType;
pub(crate) use event_type_filter::EventTypeFilter;
pub use fields::{EventField, FIELDS};
pub use id::{EventId, EventIdHex};
pub use phase::Phase;
pub use request::RequestInfo;
pub use resource::Resource;
pub use target::Target;
pub use targets::Targets;
pub use timestamp::Timestamp;
pub(crate) use timestamp::is_of_a_day;
pub(crate) use truncate::excerpt;
pub use truncate::{truncate, truncate_bytes};
