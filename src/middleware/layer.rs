//! The layer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::AuditService;
use crate::capture::Shared;
use crate::event::Details;
use crate::policy::{AuditPolicy, PolicyError, Rule};
use crate::writer::AuditLog;

/// Wraps a service so that the requests its policy names are recorded, durably, before their responses leave.
///
/// Put it outside of everything that decides about a request (authentication, limits), so that denials are recorded,
/// and inside of what changes responses for transport only (compression). With axum, `Router::layer` runs after routing, so that
/// the route template is known.
///
/// Where two layers of one log are around a request, it is recorded once, by the outer one: the inner one's rules take
/// the place of the outer one's. That is how a single route is given a rule of its own ([`AuditLayer::for_route`]).
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::post};
/// use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let log = AuditLog::open("memory:").await?;
/// let app: Router = Router::new()
///     .route("/scans", post(|| async { "stored" }))
///     .layer(AuditLayer::new(&log, AuditPolicy::preset()));
/// # Ok(()) }
/// # }
/// ```
#[derive(Clone)]
pub struct AuditLayer {
    /// None: auditing is off.
    shared: Option<Arc<Shared>>,
}

impl AuditLayer {
    /// A layer that records into `log` what `policy` says. If the log is off, the layer passes everything through.
    pub fn new(log: &AuditLog, policy: AuditPolicy) -> Self {
        let shared = log.id().map(|log_id| {
            let watches_responses = policy.watches_responses();
            Arc::new(Shared {
                log: log.clone(),
                log_id,
                policy,
                watches_responses,
                details: None,
                #[cfg(feature = "axum")]
                stand_in: None,
            })
        });
        Self { shared }
    }

    /// A layer for a single route, whatever its path: `.route_layer(AuditLayer::for_route(&log, rule)?)`.
    ///
    /// # Errors
    /// If the rule is not a valid one.
    pub fn for_route(log: &AuditLog, rule: Rule) -> Result<Self, PolicyError> {
        let rule = if rule.has_paths() { rule } else { rule.paths(["/{*rest}"]) };
        Ok(Self::new(log, AuditPolicy::builder().rule(rule).build()?))
    }

    /// The same layer with a callback that reads further details off the response, before it is released.
    ///
    /// A callback that fails or panics costs those details, never the event: the operator's log says so.
    #[must_use]
    pub fn with_details<F>(mut self, details: F) -> Self
    where
        F: Fn(&http::response::Parts) -> Result<Details, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    {
        if let Some(shared) = &mut self.shared {
            *shared = Arc::new(Shared {
                log: shared.log.clone(),
                log_id: shared.log_id,
                policy: shared.policy.clone(),
                watches_responses: shared.watches_responses,
                details: Some(Arc::new(details)),
                #[cfg(feature = "axum")]
                stand_in: None,
            });
        }
        self
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = AuditService<S>;

    fn layer(&self, inner: S) -> AuditService<S> {
        AuditService::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("policy", &self.shared.as_ref().map(|shared| &shared.policy)).finish()
    }
}
