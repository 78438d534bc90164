//! Data captured from a request and added by its handler.

mod api_key;
mod attempt;
mod audit_context;
mod change_set;
mod client_addr;
mod context_values;
#[cfg(feature = "axum")]
mod extractor;
mod forwarded;
mod layer_config;
mod request_head;
mod request_state;
mod result_count;
pub(crate) mod scope;
mod unmatched_requests;
mod wait_clock;

pub(crate) use attempt::{AttemptStage, EndKind, StartedEvent, TransactionalEvent, WithheldResponse};
pub use audit_context::AuditContext;
pub use change_set::{Change, ChangeSet};
pub use client_addr::PeerAddr;
pub(crate) use layer_config::LayerConfig;
#[cfg(feature = "route-coverage")]
pub(crate) use layer_config::ProbeStandIn;
pub(crate) use request_head::{Protocol, RequestHead, is_grpc, path_and_query, sent};
pub(crate) use request_state::AttemptRelation;
pub use result_count::ResultCount;
pub(crate) use unmatched_requests::UnmatchedRequests;
