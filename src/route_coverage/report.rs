//! The coverage report: as data, as text, and in the log.

use std::fmt;

use axum::Router;
use http::Method;

use super::router_debug::{self, ListedRoute};
use super::{Coverage, RouteCoverageError, probe};

/// The coverage of an app's routes; see [the module](super).
///
/// As text, it is a line for each route and what covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCoverage {
    routes: Vec<CoveredRoute>,
}

/// A route, and what covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredRoute {
    path: Option<String>,
    method: Option<Method>,
    coverage: Coverage,
}

impl RouteCoverage {
    /// Looks at every route of an app. The whole app must be there: look after the last `.layer(…)` and
    /// `.with_state(…)`.
    ///
    /// # Errors
    /// If the routes of this version of axum cannot be listed; [`of_routes`](Self::of_routes) needs no list of axum's.
    ///
    /// # Cancel safety
    /// Nothing remains of a future that is dropped.
    pub async fn of(app: &Router) -> Result<Self, RouteCoverageError> {
        Ok(Self::probe(app, router_debug::read(&format!("{app:?}"))?).await)
    }

    /// Looks at these routes of an app: method and template each. What the app has besides is not in the list, and
    /// a route that it does not have is listed with what is around its fallback.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use axum::{Router, routing::post};
    /// use tower_audit::route_coverage::RouteCoverage;
    ///
    /// let app = Router::new().route("/users/{id}", post(|| async {}));
    /// let report = RouteCoverage::of_routes(&app, [("POST", "/users/{id}")]).await?;
    /// assert_eq!(report.to_string(), "POST  /users/{id}  NO LAYER");
    /// # Ok::<(), tower_audit::route_coverage::RouteCoverageError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a method is none, or a path does not begin with `/`.
    pub async fn of_routes<M: AsRef<str>, P: AsRef<str>>(
        app: &Router,
        routes: impl IntoIterator<Item = (M, P)>,
    ) -> Result<Self, RouteCoverageError> {
        let routes = routes.into_iter().map(|(method, path)| ListedRoute::listed(method.as_ref(), path.as_ref()));
        Ok(Self::probe(app, routes.collect::<Result<_, _>>()?).await)
    }

    async fn probe(app: &Router, routes: Vec<ListedRoute>) -> Self {
        let mut wired = Vec::new();
        for route in routes {
            for (method, coverage) in probe::probe_route(app, &route).await {
                wired.push(CoveredRoute { path: route.path.clone(), method, coverage });
            }
        }
        Self { routes: wired }
    }

    /// Every route, by path; at the end the app's own fallback, if it has one.
    pub fn routes(&self) -> &[CoveredRoute] {
        &self.routes
    }

    /// The routes that no rule names as a whole.
    pub fn unaudited(&self) -> impl Iterator<Item = &CoveredRoute> {
        self.routes.iter().filter(|route| !route.coverage.is_complete())
    }

    /// Those of them that may change something: their method is none of GET, HEAD, OPTIONS and TRACE.
    ///
    /// A test that names here what is not to be audited fails for every route that is forgotten:
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use axum::{Router, routing::post};
    /// use tower_audit::route_coverage::RouteCoverage;
    ///
    /// let app = Router::new().route("/preferences", post(|| async {}));
    /// let report = RouteCoverage::of(&app).await?;
    /// let uncovered: Vec<_> = report.unaudited_mutations().map(ToString::to_string).collect();
    /// assert_eq!(uncovered, ["POST /preferences: NO LAYER"], "{report}");
    /// # Ok::<(), tower_audit::route_coverage::RouteCoverageError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unaudited_mutations(&self) -> impl Iterator<Item = &CoveredRoute> {
        self.unaudited().filter(|route| route.method.as_ref().is_none_or(|method| !method.is_safe()))
    }

    /// Says it in the log of the app at its start, by `tracing`, with the target `tower_audit::route_coverage`: a line at level
    /// WARN for each of [`unaudited_mutations`](Self::unaudited_mutations), and one at level INFO for every other route.
    pub fn log_report(&self) {
        for route in &self.routes {
            let (method, path, coverage) = (route.method_name(), route.path_name(), &route.coverage);
            let warned = self.unaudited_mutations().any(|uncovered| std::ptr::eq(uncovered, route));
            if warned {
                tracing::warn!(target: "tower_audit::route_coverage", method, path, %coverage, "no rule covers this route");
            } else {
                tracing::info!(target: "tower_audit::route_coverage", method, path, %coverage, "route");
            }
        }
    }
}

/// Panics with a list if a route of the app may change something and is not audited.
///
/// The app must be complete: call it after the last `.layer(…)` and `.with_state(…)`. A test with exceptions compares
/// [`unaudited_mutations`](RouteCoverage::unaudited_mutations) instead.
///
/// # Panics
/// If there is such a route, or the routes cannot be listed.
pub async fn assert_all_mutations_audited(app: &Router) {
    let report = RouteCoverage::of(app).await.unwrap_or_else(|error| panic!("{error}"));
    let unaudited: Vec<String> = report.unaudited_mutations().map(|route| format!("\n  {route}")).collect();
    let subject =
        if unaudited.len() == 1 { "route may change something and is" } else { "routes may change something and are" };
    assert!(unaudited.is_empty(), "{} {subject} not audited:{}", unaudited.len(), unaudited.concat());
}

impl CoveredRoute {
    /// The template of the route; none for what no other route matches, the app's own fallback.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The method; none: every method that no other route of this path has. Such a route is judged by the methods that may
    /// change something.
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// Returns the coverage.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    fn method_name(&self) -> &str {
        self.method.as_ref().map_or("any", Method::as_str)
    }

    fn path_name(&self) -> String {
        self.path.as_deref().map_or("(fallback)".to_owned(), |path| path.escape_debug().to_string())
    }
}

/// `POST /scans: upload`
impl fmt::Display for CoveredRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.method_name(), self.path_name(), self.coverage)
    }
}

/// Columns; the methods of a path that are covered by the same share a line.
impl fmt::Display for RouteCoverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(String, String, &Coverage)> = Vec::new();
        for route in &self.routes {
            match lines.last_mut() {
                Some((methods, path, coverage)) if *path == route.path_name() && **coverage == route.coverage => {
                    methods.push(',');
                    methods.push_str(route.method_name());
                }
                _ => lines.push((route.method_name().to_owned(), route.path_name(), &route.coverage)),
            }
        }
        let methods_width = lines.iter().map(|(methods, ..)| methods.chars().count()).max().unwrap_or(0);
        let path_width = lines.iter().map(|(_, path, _)| path.chars().count()).max().unwrap_or(0);
        for (place, (methods, path, coverage)) in lines.iter().enumerate() {
            let end = if place > 0 { "\n" } else { "" };
            write!(f, "{end}{methods:methods_width$}  {path:path_width$}  {coverage}")?;
        }
        Ok(())
    }
}
