//! What is taken from a request, and what a handler adds to it.

mod api_key;
mod client_addr;
mod context;
mod head;
mod result_count;
pub(crate) mod scope;

pub use client_addr::PeerAddr;
pub use context::AuditContext;
pub(crate) use context::{Claim, ContextData, Override, Started};
pub(crate) use head::RequestHead;
pub use result_count::ResultCount;
