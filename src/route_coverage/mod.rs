//! Route coverage: the rules that audit each route of an axum app, for a test. Feature `route-coverage`.
//!
//! A route that was added after `.layer(…)`, or that no rule matches, works like any other and leaves no event. A test finds it:
//!
//! ```
//! use axum::{Router, routing::{get, post}};
//! use tower_audit::route_coverage::assert_all_mutations_audited;
//! use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let log = AuditLog::open("memory:").await?;
//! let app = Router::new()
//!     .route("/orders", get(|| async {}).post(|| async {}))
//!     .layer(AuditLayer::new(&log, AuditPolicy::mutations()));
//! assert_all_mutations_audited(&app).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Enable the feature for tests alone, and requests in production pay nothing for it:
//!
//! ```toml
//! [dev-dependencies]
//! tower-audit = { version = "0.1", features = ["route-coverage"] }
//! ```
//!
//! [`RouteCoverage`] has the whole report: a line for each route, for a test with exceptions or the log at the start.
//!
//! # How it works
//!
//! A router copies the services around a route for every request, before it calls any of them. So a request is handed to
//! the app, and dropped before it is polled: the layers of ours that were copied meanwhile are those around its route.
//! **Nothing is called by that,** no handler and no middleware, and no event is written.
//!
//! One thing cannot be seen so: a layer inside of a nested router sees the path without the prefix. Where a layer is not
//! around the whole app, and its rules name the route with its prefix but not without it, or the other way round, a
//! request with the method `TOWER-AUDIT-PROBE` is sent through the middlewares outside of the innermost audit layer, which
//! says what it sees and lets nothing through. Where one of these middlewares refuses it, the route is
//! [`Unclear`](Coverage::Undetermined).
//!
//! Not seen are a layer outside of the router (`layer.layer(app)`), one added by `Handler::layer`, and one inside of a
//! service that is not copied for a request (a router in `nest_service`, `tower::buffer`): their routes count as uncovered.
//!
//! axum has no list of its routes but in its `Debug` output. If a version of axum writes that in another way, there is an
//! error, never a list that is too short; [`RouteCoverage::of_routes`] takes a list of your own.

mod route_template;
mod router_debug;

mod coverage;

mod probe;

mod report;

pub use coverage::Coverage;
pub use report::{CoveredRoute, RouteCoverage, assert_all_mutations_audited};
pub use router_debug::RouteCoverageError;
