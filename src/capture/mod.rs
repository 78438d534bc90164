//! What is taken from a request, and what a handler adds to it.

mod api_key;
mod client_addr;
mod context;
mod head;
mod identity;
mod node;
mod result_count;
mod said;
pub(crate) mod scope;
mod shared;

pub use client_addr::PeerAddr;
pub use context::AuditContext;
pub(crate) use head::{Protocol, RequestHead, is_grpc, path_and_query, sent};
pub(crate) use identity::{EndKind, Refusal, Stage, Standing, Started, Written};
pub use result_count::ResultCount;
pub(crate) use shared::Shared;
#[cfg(feature = "axum")]
pub(crate) use shared::StandsIn;
