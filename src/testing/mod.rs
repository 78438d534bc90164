//! A log in memory and assertions about it, for the tests of an app.
//!
//! A response leaves after its event is written, so a test asserts as soon as it has the response:
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use axum::{Router, body::Body, http::Request, routing::post};
//! use tower::ServiceExt as _;
//! use tower_audit::testing::{MemoryLog, assert_recorded};
//! use tower_audit::{AuditLayer, AuditPolicy, EventType, Rule};
//!
//! let log = MemoryLog::open().await;
//! let policy = AuditPolicy::builder().rule(Rule::new(EventType::UPLOAD).paths(["/scans"])).build().unwrap();
//! let app = Router::new().route("/scans", post(|| async { "stored" })).layer(AuditLayer::new(log.log(), policy));
//!
//! let response = app.oneshot(Request::post("/scans").body(Body::empty()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), 200);
//! assert_recorded(&log).event_type("upload").route("/scans").outcome(200).once();
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! A failed assertion lists every recorded event.

mod memory_log;

mod assertions;

pub use assertions::{RecordedEvents, assert_nothing_recorded, assert_recorded};
pub use memory_log::MemoryLog;
