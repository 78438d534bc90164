//! What is taken from a request, and what a handler adds to it.

mod api_key;
mod client_addr;
mod context;
mod head;
mod node;
mod result_count;
pub(crate) mod scope;
mod shared;

pub use client_addr::PeerAddr;
pub use context::AuditContext;
pub(crate) use context::{Claim, ContextData, Override, Started, Written};
pub(crate) use head::RequestHead;
pub use result_count::ResultCount;
pub(crate) use shared::Shared;
#[cfg(feature = "axum")]
pub(crate) use shared::StandsIn;
