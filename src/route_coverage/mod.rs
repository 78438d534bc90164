//! Route coverage: the rules that audit each route of an axum app, for a test or the log at start.
//!
//! A route that was added after `.layer(…)`, or that no rule names, works like any other, and leaves no event. So ask:
//!
//! ```
//! use axum::{Router, routing::{get, post}};
//! use tower_audit::route_coverage::RouteCoverage;
//! use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let log = AuditLog::open("memory:").await?;
//! let app = Router::new()
//!     .route("/scans", post(|| async {}))
//!     .route("/health", get(|| async {}))
//!     .layer(AuditLayer::new(&log, AuditPolicy::mutations()))
//!     .route("/late", post(|| async {}));
//!
//! let wiring = RouteCoverage::of(&app).await?;
//! assert_eq!(
//!     wiring.to_string().lines().collect::<Vec<_>>(),
//!     [
//!         "GET,HEAD  /health  no rule",
//!         "POST      /late    NO LAYER",
//!         "POST      /scans   upload",
//!     ]
//! );
//! // At the start: one line of log a route, at level WARN for `/late`.
//! wiring.log_report();
//! // In a test: whatever may change something is covered, but for what is named here.
//! let uncovered: Vec<_> = wiring.unaudited_mutations().map(ToString::to_string).collect();
//! assert_eq!(uncovered, ["POST /late: NO LAYER"], "{wiring}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it knows
//!
//! A router copies the services around a route for every request, before it calls any of them. So a request is handed to
//! the app, and dropped before it is polled: the layers of ours that were copied meanwhile are those around its route.
//! **Nothing is called by that,** no handler and no middleware, and no event is written.
//!
//! One thing cannot be seen so: a layer inside of a nested router sees the path without the prefix. Where a layer is not
//! around the whole app, and its rules name the route with its prefix but not without it, or the other way round, a
//! request with the method `TOWER-AUDIT-WIRING` is sent through the middlewares outside of the innermost audit layer, which
//! says what it sees and lets nothing through. Where one of these middlewares refuses it, the route is
//! [`Unclear`](Coverage::Undetermined).
//!
//! Not seen are a layer outside of the router (`layer.layer(app)`), one added by `Handler::layer`, and one inside of a
//! service that is not copied for a request (a router in `nest_service`, `tower::buffer`): their routes count as uncovered.
//!
//! axum has no list of its routes but in its `Debug` output. If a version of axum writes that in another way, there is an
//! error, never a list that is too short; [`RouteCoverage::of_routes`] takes a list of your own.

mod coverage;
mod probe;
mod report;
mod route_template;
mod router_debug;

pub use coverage::Coverage;
pub use report::{CoveredRoute, RouteCoverage};
pub use router_debug::RouteCoverageError;
