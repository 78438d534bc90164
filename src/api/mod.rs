//! The read API: an axum router to mount anywhere, over any store with a read part, behind the app's own gate.
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
//! A [`Caller`] who is no administrator sees the events with their name as `actor.user_email`. They cannot find out if
//! there are others: a missing event and one of another user get the same bytes, after the same query. The errors are
//! checked in this order:
//!
//! 1. **501** there is no store, or it cannot be read
//! 2. **401** the caller is anonymous; **503** the gate failed, so that the caller is unknown
//! 3. **400** a parameter is unknown, empty, repeated or not valid; or a cursor or an id is not valid
//! 4. **403** the filter names another user; the store is not asked
//! 5. **404** there is no such event, or it is another user's
//!
//! A failing store is **503** with `Retry-After` if the failure is transient, else **500**. All are problem documents (RFC
//! 9457) that name neither the store nor the cause: those go to `tracing`.
//!
//! # Where to mount it
//!
//! Outside of the [`AuditLayer`](crate::AuditLayer), or under a policy that does not name its routes: reads of the log are
//! recorded by [`AuditApi::record_reads`]. Inside of the layer that authenticates, so that the gate sees its extensions.

pub(crate) mod access_log;
pub(crate) mod audit_api;
mod caller;
pub(crate) mod confined_filter;
mod cursor_token;
pub(crate) mod error;
pub(crate) mod form_urlencoded;
mod gate;
pub(crate) mod handlers;
mod openapi;
pub(crate) mod operation;
pub(crate) mod parameter_schema;
pub(crate) mod query_params;
pub(crate) mod read_access;
pub(crate) mod response;
pub(crate) mod state;
mod timeout_reader;
mod with_timeout;

pub use audit_api::AuditApi;
pub use caller::Caller;
pub use gate::{Gate, GateError, GateFn, GateFuture, gate_fn};
pub use handlers::{AUDIT_NEXT_CURSOR, AUDIT_UNINDEXED};
