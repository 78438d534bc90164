//! The promises of the layer and the writer, through the public surface. One module per theme; each says what belongs
//! in it. Nothing here sleeps: time is paused, or a condition is waited for.

mod batches_in_flight;
mod body;
mod cancellation;
mod changes;
mod classification;
mod client_addr;
mod context;
mod fallbacks;
mod grpc;
mod grpc_service;
mod grpcio;
mod handler_failures;
mod hang_ups;
#[cfg(feature = "metrics")]
mod metrics;
mod nested;
mod operator_log;
mod owed;
mod preset_ivre;
mod readiness;
mod receipts;
mod request_data;
mod request_model;
mod retries_and_timeouts;
mod retry_between_layers;
mod route_coverage;
mod scripted_store;
mod spans;
mod store_failures;
mod store_hangs;
mod subrequests;
mod subscription;
mod support;
#[cfg(feature = "testing")]
mod targets;
mod testing;
mod two_logs;
