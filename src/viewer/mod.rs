//! The viewer: HTML pages for reading the log, behind the gate of the read API.
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
//! `docs/viewer.md` describes the pages. They are rendered on the server without scripts, and the content security policy
//! allows none. Values are shown as text, and characters that are unsafe to display are escaped.
//!
//! Rights, statuses and the order of errors are those of [the API](crate::api): every page passes the same gate and the same
//! reader. A browser gets a page instead of a problem document.

mod assets;
mod audit_viewer;
mod bar_chart;
mod change_rows;
mod event_fields;
mod event_row;
mod event_seal;
mod filter_form;
mod histogram;
mod links;
mod newer_page;
mod operations;
mod outcome_badge;
mod pages;
mod related_events;
mod response;
mod safe_html;
mod search;
mod state;
mod time;

pub use audit_viewer::AuditViewer;
