//! Data captured from a request and added by its handler, and the state that the layers around one request share.
//!
//! In the order of reading:
//!
//! | file | holds |
//! |---|---|
//! | `head_pool.rs`, `request_head.rs`, `request_target.rs`, `header_lines.rs`, `given_actor.rs`, `protocol.rs`, `client_addr.rs`, `forwarded.rs`, `api_key.rs`, `digest_cache.rs`, `captured_headers_and_query.rs` | facts of the request |
//! | `context_values.rs`, `change_set.rs`, `result_count.rs` | additions of handlers |
//! | `layer_state.rs`, `no_match_warning.rs` | the configuration of a layer |
//! | `layer_attempt.rs`, `layer_attempts.rs` | one run of everything inside of a layer, and those of one request |
//! | `nested_layers.rs` | of several attempts, the one that an end belongs to |
//! | `build_event.rs` | the event that is made of the facts and the additions |
//! | `request_state.rs` | the attempts, under their lock |
//! | `wait_clock.rs`, `wait.rs` | the time for which a request waits for its events |
//! | `audit_context.rs`, `scope.rs`, `extractor.rs` | the handle of a handler, and the ways to find it |

mod api_key;
mod audit_context;
mod build_event;
mod captured_headers_and_query;
mod change_set;
mod client_addr;
mod context_values;
mod digest_cache;
#[cfg(feature = "axum")]
mod extractor;
mod forwarded;
mod given_actor;
mod head_pool;
mod header_lines;
mod layer_attempt;
mod layer_attempts;
mod layer_state;
mod nested_layers;
mod no_match_warning;
mod protocol;
mod request_head;
mod request_state;
mod request_target;
mod result_count;
pub(crate) mod scope;
mod wait;
mod wait_clock;

pub use audit_context::AuditContext;
pub use change_set::{Change, ChangeSet};
pub use client_addr::PeerAddr;
pub(crate) use head_pool::KeptHead;
pub(crate) use layer_attempt::{AttemptStage, EndKind, StartedEvent, TransactionalEvent, WithheldResponse};
pub(crate) use layer_state::LayerState;
#[cfg(feature = "route-coverage")]
pub(crate) use layer_state::ProbeStandIn;
pub(crate) use nested_layers::AttemptRelation;
pub(crate) use protocol::{Protocol, is_grpc};
pub(crate) use request_target::{path_and_query, sent};
pub use result_count::ResultCount;
