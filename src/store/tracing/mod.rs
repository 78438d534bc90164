//! `tracing:`: events to the app's own subscriber. A sink: not durable, and not readable.

mod callsite;
mod config;
mod event_line;
mod store;

pub use store::TracingStore;
