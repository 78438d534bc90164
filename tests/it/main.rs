//! The promises of the layer and the writer, through the public surface. One module per theme; each says what belongs
//! in it. Nothing here sleeps: time is paused, or a condition is waited for.

mod attempts;
mod body;
mod client_addr;
mod context;
mod documented;
mod dropped;
mod ended;
mod failing;
mod grpc;
mod grpcio;
mod hanging;
mod identity;
mod logs;
mod nested;
mod owed;
mod parallel;
mod passing;
mod route_coverage;
mod said;
mod subrequests;
mod support;
#[cfg(feature = "testing")]
mod testing;
mod vault;
