//! The viewer: pages to read the log by, for people, over what the read API reads and through the same gate.
//!
//! ```
//! use axum::Router;
//! use axum::body::Body;
//! use http::{Request, StatusCode};
//! use tower::ServiceExt as _;
//! use tower_audit::AuditLog;
//! use tower_audit::api::{Caller, gate_fn};
//! use tower_audit::viewer::AuditViewer;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let log = AuditLog::open("memory:").await?;
//! let gate = gate_fn(|head| {
//!     let cookie = head.headers.get("cookie").map(|value| value.as_bytes());
//!     Ok((cookie == Some(b"session=alice")).then(|| Caller::user("alice@example.org")))
//! });
//! let app: Router = Router::new().merge(AuditViewer::new(&log, gate).router("/audit/ui"));
//!
//! let anonymous = Request::get("/audit/ui/").body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(anonymous).await?.status(), StatusCode::UNAUTHORIZED);
//! let alice = Request::get("/audit/ui/?outcome=4xx&since=7d").header("cookie", "session=alice").body(Body::empty())?;
//! assert_eq!(app.oneshot(alice).await?.status(), StatusCode::OK);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/viewer.md` has the pages, with a picture. They are made on the server and need no script: there is none, and
//! the content security policy allows none. Whatever is in an event is shown as text, and characters that are not safe
//! to look at are shown as what they are.
//!
//! Who sees what, the statuses and the order of the refusals are those of [the API](crate::api), because every page
//! is read through its gate and its reader; only that a browser gets a page instead of a problem document.

mod assets;
mod bar_chart;
mod event_fields;
mod event_row;
mod filter_form;
mod histogram;
mod links;
mod operations;
mod outcome_badge;
mod pages;
mod previous_page;
mod related_events;
mod response;
mod router;
mod safe_html;
mod state;
mod time;

pub use router::AuditViewer;
