//! The read API: an axum router to mount anywhere, over any store that can be read, behind the app's own gate.
//!
//! ```
//! use axum::Router;
//! use axum::body::Body;
//! use http::{Request, StatusCode};
//! use tower::ServiceExt as _;
//! use tower_audit::AuditLog;
//! use tower_audit::api::{AuditApi, Caller, gate_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let log = AuditLog::open("memory:").await?;
//! let gate = gate_fn(|head| {
//!     let token = head.headers.get("authorization").map(|value| value.as_bytes());
//!     Ok((token == Some(b"Bearer alice-token")).then(|| Caller::user("alice@example.org")))
//! });
//! let app: Router = Router::new().merge(AuditApi::new(&log, gate).router("/audit"));
//!
//! let ask = |uri: &str| Request::get(uri).header("authorization", "Bearer alice-token").body(Body::empty());
//! let anonymous = Request::get("/audit/").body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(anonymous).await?.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(app.clone().oneshot(ask("/audit/?since=7d")?).await?.status(), StatusCode::OK);
//! let of_bob = ask("/audit/?user_email=bob@example.org")?;
//! assert_eq!(app.oneshot(of_bob).await?.status(), StatusCode::FORBIDDEN);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/api.md` has the parameters, the formats and the cursor.
//!
//! # Who sees what
//!
//! A [`Caller`] who is no administrator sees the events that have their name as `actor.user_email`, and nothing tells
//! them whether there are others: a missing event and another user's are answered with the same bytes, after the same
//! work. The refusals are found out in this order, and the first that holds is the answer:
//!
//! 1. **501** there is no store, or none that can be read
//! 2. **401** the caller is anonymous; **503** the gate failed, so that nobody knows who is asking
//! 3. **400** a parameter is unknown, empty, given twice or makes no sense; so is a cursor or an id
//! 4. **403** the filter names another user; the store is not asked
//! 5. **404** there is no such event, or it is another user's
//!
//! A store that fails is **503** with `Retry-After` if that may pass, else **500**. All are problem documents (RFC 9457)
//! that name neither the store nor the cause: those go to `tracing`.
//!
//! # Where to mount it
//!
//! Outside of the [`AuditLayer`](crate::AuditLayer), or under a policy that does not name it: looking at the log is not
//! what the layer is for. [`AuditApi::record_reads`] is. Inside of the layer that authenticates, so that the gate
//! sees what that layer found out.

pub(crate) mod access_log;
pub(crate) mod authorized;
mod bounded_reader;
mod caller;
pub(crate) mod confined_filter;
mod cursor_token;
pub(crate) mod error;
pub(crate) mod form_urlencoded;
mod gate;
pub(crate) mod handlers;
mod openapi;
pub(crate) mod operation;
pub(crate) mod parameter;
pub(crate) mod params;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod state;
mod timeout;

pub use access_log::AUDIT_READ;
pub use caller::Caller;
pub use gate::{Gate, GateError, GateFn, GateFuture, gate_fn};
pub use handlers::AUDIT_NEXT_CURSOR;
pub use router::AuditApi;
